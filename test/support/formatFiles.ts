import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { LoomweightError } from '../../src/protocol/errors';

/** Writes a file below a folder, with the folders on the way to it, and gives its path. */
export function writeInto(folder: string, name: string, bytes: Uint8Array | string): string {
  const file = path.join(folder, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, bytes);
  return file;
}

/** Bytes of a safetensors file with any header and length field. */
export function rawSafetensors(header: Uint8Array, dataBytes: number, lengthField: bigint = BigInt(header.length)): Uint8Array {
  const out = Buffer.alloc(8 + header.length + dataBytes);
  out.writeBigUInt64LE(lengthField);
  out.set(header, 8);
  return out;
}

/** Reads a JSON file of the test folders. */
export function readTestJson<T>(relative: string): T {
  return JSON.parse(readFileSync(path.join(import.meta.dirname, '..', relative), 'utf8')) as T;
}

/** Runs something that must fail with one of our errors, and gives it. */
export async function failureOf(action: () => Promise<unknown>): Promise<LoomweightError> {
  try {
    await action();
  } catch (error) {
    if (error instanceof LoomweightError) return error;
    throw error;
  }
  throw new Error('expected an error');
}
