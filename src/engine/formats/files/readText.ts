import { LoomweightError } from '../../../protocol/errors';
import { malformedFile } from '../malformed';
import { refusePointer } from './foreignFile';
import { RandomAccessFile } from './randomAccessFile';

/** Companion files (config, tokenizer, index) are small; a larger one is refused before it is read. */
const largestText = 256e6;

/** Decodes strict UTF-8; an invalid byte is a `malformed-file` error that gives its position. */
export function decodeUtf8(bytes: Uint8Array, file: string, offset = 0): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw malformedFile(file, offset + firstInvalidByte(bytes), 'invalid-utf8', 'Text must be UTF-8, found an invalid byte');
  }
}

/** Maximum number of characters in a JavaScript string. */
const largestString = 500e6;

/**
 * Reads a whole text; invalid bytes become replacement characters. Errors: `not-found`, `unsupported` (also for a Git LFS pointer),
 * `invalid-argument` (a pipe, a device).
 */
export async function readText(path: string): Promise<string> {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(await readWhole(path, largestString, 'Split it, or use a part of it'));
}

/** Reads a JSON object. Errors: `not-found`, `malformed-file` with the position. A byte-order mark is skipped. */
export async function readJsonObject(path: string): Promise<Record<string, unknown>> {
  const bytes = await readWhole(path, largestText, 'JSON files of models are smaller than that');
  return parseJsonObject(decodeUtf8(bytes, path).replace(/^\uFEFF/, ''), path);
}

async function readWhole(path: string, largest: number, advice: string): Promise<Uint8Array> {
  const file = await RandomAccessFile.open(path);
  try {
    if (file.size > largest)
      throw new LoomweightError('unsupported', `${path} has ${file.size} bytes, but at most ${largest} can be read as text. ${advice}.`, {
        path,
      });
    const bytes = await file.read(0, file.size);
    refusePointer(path, bytes);
    return bytes;
  } finally {
    await file.close();
  }
}

/** Brackets of JSON within one another: files of models have fewer than ten, and a walk over thousands would exhaust the stack. */
const deepestNesting = 200;

/** Position where brackets and braces of a JSON text are first nested deeper than `most`; undefined where they are not. */
export function nestingAbove(text: string, most: number): number | undefined {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      // A string ends at the next quote that no backslash precedes; an unfinished one is left to the parser.
      for (at += 1; at < text.length && text.charCodeAt(at) !== 0x22; at += 1) if (text.charCodeAt(at) === 0x5c) at += 1;
    } else if (code === 0x5b || code === 0x7b) {
      depth += 1;
      if (depth > most) return at;
    } else if (code === 0x5d || code === 0x7d) depth -= 1;
  }
  return undefined;
}

/** Refuses JSON that is nested too deeply to be walked. Errors: `malformed-file` with the position. */
export function checkNesting(text: string, path: string): void {
  const tooDeep = nestingAbove(text, deepestNesting);
  if (tooDeep !== undefined)
    throw malformedFile(path, tooDeep, 'too-deep', `JSON is read to a depth of ${deepestNesting} brackets, and this file goes deeper`);
}

/** Parses the text of a JSON object. */
export function parseJsonObject(text: string, path: string): Record<string, unknown> {
  checkNesting(text, path);
  let value: unknown;
  try {
    value = parsePythonJson(text);
  } catch (error) {
    const position = /position (\d+)/.exec(error instanceof Error ? error.message : '');
    throw malformedFile(
      path,
      position ? Number(position[1]) : text.length,
      'invalid-json',
      `Not valid JSON: ${String((error as Error).message)}`,
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw malformedFile(path, 0, 'invalid-json', 'The file must contain a JSON object');
  return value as Record<string, unknown>;
}

/** Strings, which stay as they are, and the numbers that Python's json writes and reads beside JSON's own. */
const pythonNumbers = /"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g;

/** JSON as Python reads it: also with Infinity, -Infinity and NaN, of which the last becomes the text 'NaN'. */
function parsePythonJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!/Infinity|NaN/.test(text)) throw error;
    const numbers: Readonly<Record<string, string>> = { Infinity: '1e999', '-Infinity': '-1e999', NaN: '"NaN"' };
    return JSON.parse(text.replace(pythonNumbers, (word) => numbers[word] ?? word));
  }
}

/** Position of the first byte that is not valid UTF-8, by bisection; only called for text known to be invalid. */
function firstInvalidByte(bytes: Uint8Array): number {
  let low = 0;
  let high = bytes.length;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    try {
      // With `stream`, a sequence may be cut off at the end of the piece.
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, middle), { stream: true });
      low = middle;
    } catch {
      high = middle - 1;
    }
  }
  return low;
}
