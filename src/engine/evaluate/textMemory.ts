import { stat } from 'node:fs/promises';
import path from 'node:path';

/** Node, the engine's code and ONNX Runtime before anything is read; measured 62 to 75 MB on Linux. */
export const processBytes = 85e6;

/** Young heap that V8 lets grow while a text is encoded. */
const encodingBytes = 25e6;
/** Strings, numbers and garbage for each byte of text; measured 45 to 75 on texts of 0.1 to 1.8 MB. */
const bytesPerTextByte = 75;
/** Maps of vocabulary and merges for each byte of tokenizer.json. */
const bytesPerTokenizerByte = 12;

/**
 * What the process holds once a text is encoded, from file sizes. `inside`: tokenizer files that the model
 * carries itself. A missing file counts nothing: it is reported when it is read.
 */
export async function encodedTextBytes(folders: readonly string[], text: string, inside?: ReadonlyMap<string, string>): Promise<number> {
  return processBytes + (await tokenizerBytes(folders, inside)) + bytesPerTextByte * (await sizeOf(text));
}

/** What a tokenizer takes while it encodes a short text, from the size of its file; as in `encodedTextBytes`. */
export async function tokenizerBytes(folders: readonly string[], inside?: ReadonlyMap<string, string>): Promise<number> {
  let tokenizer = inside?.get('tokenizer.json')?.length ?? 0;
  for (const folder of folders) tokenizer ||= await sizeOf(path.join(folder, 'tokenizer.json'));
  return encodingBytes + bytesPerTokenizerByte * tokenizer;
}

async function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}
