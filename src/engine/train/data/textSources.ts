import { stat } from 'node:fs/promises';
import { LoomweightError } from '../../../protocol/errors';

/** A text file and its share of the samples. Shares of all sources add up to 1. */
export interface WeightedFile {
  readonly file: string;
  readonly share: number;
}

/**
 * Reads `a.txt:0.7,b.txt:0.3`: files with weights, which are scaled to add up to 1; a file without a weight has weight 1. A name that is a file as
 * it stands is one source, whatever signs are in it. Errors: `invalid-argument` for weights that are not positive numbers, `not-found`.
 */
export async function weightedFiles(data: string): Promise<readonly WeightedFile[]> {
  if (await isFile(data)) return [{ file: data, share: 1 }];
  const files: { readonly file: string; readonly weight: number }[] = [];
  for (const part of data.split(',')) {
    const text = part.trim();
    const match = (await isFile(text)) ? undefined : /^(.+):([^:\\/]+)$/.exec(text);
    const file = match?.[1] ?? text;
    const weight = match ? Number(match[2]) : 1;
    if (!(weight > 0) || !Number.isFinite(weight))
      throw new LoomweightError('invalid-argument', `The weight of a text must be above 0, got '${text}'. Write file.txt:0.7.`, {
        source: text,
      });
    if (!(await isFile(file)))
      throw new LoomweightError('not-found', `No text file at ${file}. Check the path; write several files as a.txt:0.7,b.txt:0.3.`, {
        path: file,
      });
    files.push({ file, weight });
  }
  const total = files.reduce((sum, { weight }) => sum + weight, 0);
  return files.map(({ file, weight }) => ({ file, share: weight / total }));
}

async function isFile(name: string): Promise<boolean> {
  return stat(name).then(
    (status) => status.isFile(),
    () => false,
  );
}
