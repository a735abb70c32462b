import { readFileSync } from 'node:fs';
import { inflateRawSync } from 'node:zlib';

/** A file in a zip archive. Sizes in bytes. */
export interface ZipEntry {
  readonly name: string;
  readonly compressedBytes: number;
  readonly bytes: number;
  read(): Buffer;
}

/** Files of a zip archive (stored or deflated, no zip64), from its central directory (APPNOTE 4.3.12). Throws if it has none. */
export function readZip(path: string): ZipEntry[] {
  const archive = readFileSync(path);
  const end = archive.lastIndexOf(Buffer.from([0x50, 0x4b, 5, 6]));
  if (end < 0) throw new Error(`${path} is not a zip archive`);
  const count = archive.readUInt16LE(end + 10);
  const entries: ZipEntry[] = [];
  let at = archive.readUInt32LE(end + 16);
  for (let index = 0; index < count; index += 1) {
    if (archive.readUInt32LE(at) !== 0x02014b50) throw new Error(`${path}: no directory entry at ${at}`);
    const method = archive.readUInt16LE(at + 10);
    const compressedBytes = archive.readUInt32LE(at + 20);
    const bytes = archive.readUInt32LE(at + 24);
    const nameLength = archive.readUInt16LE(at + 28);
    const local = archive.readUInt32LE(at + 42);
    const name = archive.toString('utf8', at + 46, at + 46 + nameLength);
    const data = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
    const read = () => {
      const raw = archive.subarray(data, data + compressedBytes);
      return method === 0 ? raw : inflateRawSync(raw);
    };
    if (!name.endsWith('/')) entries.push({ name, compressedBytes, bytes, read });
    at += 46 + nameLength + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
  }
  return entries;
}
