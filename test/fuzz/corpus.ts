import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Inputs of past crashes for a reader: the files of `folder`/<reader's name>, in the order of their names. */
export function corpusOf(folder: string, reader: string): readonly Uint8Array[] {
  const own = join(folder, reader.replaceAll(' ', '-'));
  return existsSync(own)
    ? readdirSync(own)
        .sort()
        .map((name) => readFileSync(join(own, name)))
    : [];
}
