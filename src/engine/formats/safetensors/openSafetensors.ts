import path from 'node:path';
import type { TensorContainer } from '../container';
import { FileContainer } from '../fileContainer';
import { RandomAccessFile } from '../files/randomAccessFile';
import { fileTooShort } from '../malformed';
import { quantizationOf } from '../quantized/quantizedCheckpoint';
import { headerLength, parseHeader, type SafetensorsHeader } from './header';

/** Opens one .safetensors file: reads its header but no weights. Errors: `not-found`, `malformed-file`, `unsupported`. */
export async function openSafetensors(file: string): Promise<TensorContainer> {
  const absolute = path.resolve(file);
  const header = await readSafetensorsHeader(absolute);
  return new FileContainer({ format: 'safetensors', path: absolute, ...header, ...quantizationOf(header, absolute) });
}

/** Reads and checks the header of one file. */
export async function readSafetensorsHeader(absolute: string): Promise<SafetensorsHeader> {
  const file = await RandomAccessFile.open(absolute);
  try {
    if (file.size < 8) throw fileTooShort(absolute, 'A safetensors file', 8, file.size);
    const length = headerLength(await file.read(0, 8), absolute, file.size);
    return parseHeader(await file.read(8, length), absolute, file.size);
  } finally {
    await file.close();
  }
}
