import { realpath, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, sep } from 'node:path';
import { byteLength, type DType } from '../../../protocol/dtypes';
import type { ByteLocation } from '../container';
import { recognizeForeignFile } from '../files/foreignFile';

/** A reference to a range of another file as written in an ONNX model: unchecked strings. */
export interface ExternalReference {
  readonly location: string;
  /** Decimal text; empty means 0. */
  readonly offset: string;
  /** Decimal text; empty means as many bytes as the shape needs. */
  readonly length: string;
}

/** The position of the bytes, or why they may not or cannot be read. */
export type ResolvedExternal =
  | { readonly ok: true; readonly location: ByteLocation }
  | { readonly ok: false; readonly code: 'external-path' | 'external-missing' | 'external-range'; readonly problem: string };

/**
 * Resolves external data and confines it to the model's folder. A location must be a relative path without `..`; after resolving all
 * symbolic links, the file must be in the folder of the model, or of the file that the model's own path links to (download caches link both
 * into one folder). Offset and length must be integers within the file.
 */
export class ExternalDataResolver {
  private folders: Promise<readonly string[]> | undefined;
  private readonly files = new Map<string, Promise<{ path: string; size: number } | { problem: ResolvedExternal }>>();

  constructor(
    /** Absolute path of the ONNX file. */
    private readonly modelPath: string,
  ) {}

  async resolve(reference: ExternalReference, dtype: DType, shape: readonly number[]): Promise<ResolvedExternal> {
    const expected = byteLength(dtype, shape);
    const offset = wholeNumber(reference.offset, 0);
    const length = wholeNumber(reference.length, expected);
    if (offset === undefined || length === undefined)
      return {
        ok: false,
        code: 'external-range',
        problem: `offset '${shortened(reference.offset)}' and length '${shortened(reference.length)}' must be whole numbers.`,
      };
    if (length !== expected)
      return {
        ok: false,
        code: 'external-range',
        problem: `${dtype}[${shape.join(', ')}] needs ${expected} bytes, but the reference gives ${length}.`,
      };
    const problem = pathProblem(reference.location);
    if (problem !== undefined) return { ok: false, code: 'external-path', problem };
    let file = this.files.get(reference.location);
    if (file === undefined) {
      file = this.find(reference.location);
      this.files.set(reference.location, file);
    }
    const found = await file;
    if ('problem' in found) return found.problem;
    if (offset + length > found.size) {
      const foreign = await recognizeForeignFile(found.path);
      if (foreign) return { ok: false, code: 'external-range', problem: `'${reference.location}' is ${foreign.what}. ${foreign.advice}` };
      return {
        ok: false,
        code: 'external-range',
        problem: `bytes ${offset} to ${offset + length} are past the end of '${reference.location}' (${found.size} bytes).`,
      };
    }
    return { ok: true, location: { file: found.path, offset, length } };
  }

  private async find(location: string): Promise<{ path: string; size: number } | { problem: ResolvedExternal }> {
    const path = join(dirname(this.modelPath), ...location.split(/[\\/]/));
    try {
      this.folders ??= Promise.all([realpath(dirname(this.modelPath)), realpath(this.modelPath).then(dirname)]);
      const [real, folders] = [await realpath(path), await this.folders];
      if (!folders.some((folder) => isInside(folder, real)))
        return { problem: { ok: false, code: 'external-path', problem: `'${location}' is a link to a file outside the model's folder.` } };
      const { size, isFile } = await stat(real).then((stats) => ({ size: stats.size, isFile: stats.isFile() }));
      if (!isFile) return { problem: { ok: false, code: 'external-missing', problem: `'${location}' is not a regular file.` } };
      return { path: real, size };
    } catch {
      return { problem: { ok: false, code: 'external-missing', problem: `there is no file '${location}' next to the model.` } };
    }
  }
}

/** Why a location is not allowed, regardless of the disk. Both kinds of separators count on every system. */
export function pathProblem(location: string): string | undefined {
  if (location === '') return 'its external data does not name a file.';
  if (location.includes('\0')) return 'the name of the data file contains a NUL character.';
  const shown = shortened(location);
  if (isAbsolute(location) || /^[\\/]/.test(location) || /^[a-z]:/i.test(location))
    return `'${shown}' is an absolute path; only files in the model's folder are read.`;
  if (location.split(/[\\/]/).includes('..')) return `'${shown}' is outside the model's folder.`;
  return undefined;
}

function isInside(folder: string, file: string): boolean {
  const path = relative(folder, file);
  return path !== '' && path !== '..' && !path.startsWith(`..${sep}`) && !isAbsolute(path);
}

function wholeNumber(text: string, fallback: number): number | undefined {
  if (text === '') return fallback;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  return Number.isSafeInteger(value) ? value : undefined;
}

function shortened(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}
