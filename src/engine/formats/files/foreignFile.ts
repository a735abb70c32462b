import { LoomweightError } from '../../../protocol/errors';
import { unsupportedContent } from '../malformed';
import { RandomAccessFile } from './randomAccessFile';

/** What a file is that is no model, and what to do about it. */
export interface ForeignFile {
  /** With its article: `a web page (HTML)`. */
  readonly what: string;
  /** One sentence. */
  readonly advice: string;
}

/** Bytes that are looked at. */
const headBytes = 1024;

const convert =
  "Convert it to safetensors with the tool that made it, for example with transformers' save_pretrained, or export it to ONNX.";
const download = 'Download the file itself.';

interface Signature {
  readonly matches: (head: Uint8Array, text: string) => boolean;
  readonly file: (text: string) => ForeignFile;
}

const bytesAt =
  (offset: number, ...bytes: readonly number[]) =>
  (head: Uint8Array): boolean =>
    bytes.every((byte, index) => head[offset + index] === byte);
const textAt =
  (offset: number, word: string) =>
  (_: Uint8Array, text: string): boolean =>
    text.startsWith(word, offset);

const packed = (name: string): ((text: string) => ForeignFile) => {
  return () => ({ what: `a file compressed with ${name}`, advice: 'Unpack it and name the file inside.' });
};

const pointer: Signature = {
  matches: textAt(0, 'version https://git-lfs.github.com/spec/'),
  file: () => ({
    what: 'a Git LFS pointer, a text of some lines in place of the file',
    advice: "Run 'git lfs pull' in its repository, or download the file itself.",
  }),
};

const signatures: readonly Signature[] = [
  pointer,
  {
    matches: (_, text) => /^\s*(<!doctype html|<html|<head|<body)/i.test(text),
    file: () => ({ what: 'a web page (HTML), such as the page about the file or an error', advice: download }),
  },
  {
    matches: (_, text) => /^\s*<\?xml|^\s*<(Error|net)\b/.test(text),
    file: () => ({ what: 'an XML text, such as an error of a server or a model of OpenVINO', advice: download }),
  },
  { matches: bytesAt(0, 0x50, 0x4b, 3, 4), file: zipFile },
  { matches: bytesAt(0, 0x50, 0x4b, 5, 6), file: () => ({ what: 'an empty zip archive', advice: download }) },
  {
    matches: (head) => head[0] === 0x80 && (head[1] as number) >= 2 && (head[1] as number) <= 5,
    file: () => ({ what: 'a Python pickle, as older versions of PyTorch write, which can run code when it is read', advice: convert }),
  },
  { matches: bytesAt(0, 0x1f, 0x8b), file: packed('gzip') },
  { matches: bytesAt(0, 0x42, 0x5a, 0x68), file: packed('bzip2') },
  { matches: bytesAt(0, 0xfd, 0x37, 0x7a, 0x58, 0x5a, 0), file: packed('xz') },
  { matches: bytesAt(0, 0x28, 0xb5, 0x2f, 0xfd), file: packed('Zstandard') },
  { matches: bytesAt(0, 0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c), file: packed('7-Zip') },
  { matches: textAt(257, 'ustar'), file: () => ({ what: 'a tar archive', advice: 'Unpack it and name the file inside.' }) },
  { matches: bytesAt(0, 0x89, 0x48, 0x44, 0x46), file: () => ({ what: 'an HDF5 file, as Keras writes', advice: convert }) },
  { matches: textAt(4, 'TFL3'), file: () => ({ what: 'a TensorFlow Lite model', advice: 'Export the original model to ONNX.' }) },
  {
    matches: textAt(4, 'ORTM'),
    file: () => ({ what: "a model in ONNX Runtime's own format (.ort)", advice: 'Use the .onnx file that it was made from.' }),
  },
  {
    matches: (_, text) => /^(lmgg|fmgg|tjgg|algg|ggml|ggmf|ggjt|ggla)/.test(text),
    file: () => ({ what: 'a model in a format of llama.cpp that came before GGUF', advice: 'Convert the original model to GGUF again.' }),
  },
  { matches: textAt(0, 'PAR1'), file: () => ({ what: 'a Parquet table', advice: 'It is data: name it with --data.' }) },
  {
    matches: (_, text) => /^\s*\{\s*"(error|message|detail|code)"\s*:/.test(text),
    file: () => ({ what: 'a JSON message, such as an error of a server', advice: download }),
  },
];

/** Zip archives are told apart by the name of their first file, which follows the header of 30 bytes. */
function zipFile(text: string): ForeignFile {
  const length = text.charCodeAt(26) + text.charCodeAt(27) * 256;
  const first = text.slice(30, 30 + Math.min(length, 200));
  if (/(^|\/)(data\.pkl|version|byteorder|constants\.pkl|\.format_version)$/.test(first) || /\/code\//.test(first))
    return { what: 'a zip archive as PyTorch writes (.pt, .pth, .bin), whose pickle can run code when it is read', advice: convert };
  if (/\.npy$/.test(first))
    return { what: 'a zip archive of NumPy arrays (.npz)', advice: 'Name the .npy files inside, or convert them to safetensors.' };
  if (/^(metadata\.json|config\.json|model\.weights\.h5)$/.test(first))
    return { what: 'a Keras model in a zip archive (.keras)', advice: convert };
  return { what: 'a zip archive', advice: 'Unpack it and name the file inside.' };
}

/** Refuses the text of a Git LFS pointer, which would be read as if it were the file. `head`: the first bytes of the file. Error: `unsupported`. */
export function refusePointer(path: string, head: Uint8Array): void {
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, headBytes)).toString('latin1');
  if (pointer.matches(head, text)) throw foreignFileError(path, pointer.file(text));
}

/** The same for a file on disk. Errors: also `not-found`, `invalid-argument` (a pipe, a device). */
export async function refusePointerFile(path: string): Promise<void> {
  const file = await RandomAccessFile.open(path);
  try {
    refusePointer(path, await file.read(0, Math.min(file.size, headBytes)));
  } finally {
    await file.close();
  }
}

/** Recognises a file by its first bytes; undefined where they say nothing. */
export function recognizeForeign(head: Uint8Array): ForeignFile | undefined {
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, headBytes)).toString('latin1');
  const bare = text.replace(/^\xef\xbb\xbf/, '');
  return signatures.find(({ matches }) => matches(head, bare))?.file(bare);
}

/** The same for a file on disk; undefined if it cannot be read. */
export async function recognizeForeignFile(path: string): Promise<ForeignFile | undefined> {
  try {
    const file = await RandomAccessFile.open(path);
    try {
      return recognizeForeign(await file.read(0, Math.min(file.size, headBytes)));
    } finally {
      await file.close();
    }
  } catch {
    // What is wrong with the file has been said by whoever read it first.
    return undefined;
  }
}

/** The error for such a file in the place of another. */
export function foreignFileError(path: string, { what, advice }: ForeignFile, cause?: unknown): LoomweightError {
  const { code, message, details } = unsupportedContent(path, 'foreign-file', `${path} is ${what}. ${advice}`);
  return new LoomweightError(code, message, details, cause === undefined ? undefined : { cause });
}

/** Runs the reading of a file; where it fails because a file is something else altogether, the error says what that file is. */
export async function namingForeignFiles<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof LoomweightError) || (error.code !== 'malformed-file' && error.code !== 'unsupported')) throw error;
    const file = error.details?.['file'] ?? path;
    const foreign = typeof file === 'string' ? await recognizeForeignFile(file) : undefined;
    if (!foreign) throw error;
    throw foreignFileError(file as string, foreign, error);
  }
}
