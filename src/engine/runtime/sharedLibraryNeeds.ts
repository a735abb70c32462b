import { closeSync, openSync, readSync } from 'node:fs';

/** Program header and dynamic-section tags of ELF. Source: System V ABI, gABI 4.1, chapters 4 and 5. */
const ptLoad = 1;
const ptDynamic = 2;
const dtNull = 0n;
const dtNeeded = 1n;
const dtStringTable = 5n;

/** A larger dynamic section is not a real library. */
const largestSection = 1 << 20;

/**
 * Names of the shared libraries that a 64-bit little-endian ELF library requires, in its order. Undefined if the file cannot be read as
 * one. Reads a few kilobytes by position, whatever the size of the file.
 */
export function sharedLibraryNeeds(path: string): readonly string[] | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return undefined; // Only whether it can be read matters.
  }
  try {
    return needs((offset, length) => {
      const bytes = Buffer.alloc(length);
      const read = readSync(file, bytes, 0, length, offset);
      return bytes.subarray(0, read);
    });
  } catch {
    return undefined; // Truncated, or with wrong offsets: not a library.
  } finally {
    closeSync(file);
  }
}

function needs(read: (offset: number, length: number) => Buffer): readonly string[] | undefined {
  const header = read(0, 64);
  const isElf64 = header.readUInt32BE(0) === 0x7f454c46 && header[4] === 2 && header[5] === 1;
  if (!isElf64) return undefined;
  const entrySize = header.readUInt16LE(54);
  const count = header.readUInt16LE(56);
  const table = read(Number(header.readBigUInt64LE(32)), entrySize * count);
  const segments = Array.from({ length: count }, (_, index) => {
    const at = index * entrySize;
    return {
      type: table.readUInt32LE(at),
      offset: Number(table.readBigUInt64LE(at + 8)),
      address: Number(table.readBigUInt64LE(at + 16)),
      size: Number(table.readBigUInt64LE(at + 32)),
    };
  });
  const dynamic = segments.find(({ type }) => type === ptDynamic);
  if (!dynamic || dynamic.size > largestSection) return undefined;
  const section = read(dynamic.offset, dynamic.size);
  const nameOffsets: number[] = [];
  let stringAddress: number | undefined;
  for (let at = 0; at + 16 <= section.length; at += 16) {
    const tag = section.readBigUInt64LE(at);
    const value = Number(section.readBigUInt64LE(at + 8));
    if (tag === dtNull) break;
    if (tag === dtNeeded) nameOffsets.push(value);
    if (tag === dtStringTable) stringAddress = value;
  }
  const home = segments.find(
    ({ type, address, size }) =>
      type === ptLoad && stringAddress !== undefined && stringAddress >= address && stringAddress < address + size,
  );
  if (!home || stringAddress === undefined) return undefined;
  const strings = home.offset + stringAddress - home.address;
  return nameOffsets.map((offset) => {
    const bytes = read(strings + offset, 256);
    return bytes.subarray(0, bytes.indexOf(0)).toString('latin1');
  });
}
