import { readdir, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { OutputFile } from '../../protocol/report';

/** Every file below a folder, by path relative to it with forward slashes, in order of names. */
export async function listFiles(folder: string): Promise<readonly OutputFile[]> {
  const files: OutputFile[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files.push({ path: relative(folder, path).split(sep).join('/'), bytes: (await stat(path)).size });
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Files that hold weights or graphs. Configuration and tokenizer are copied unchanged and do not affect compression. */
export function isWeightFile({ path }: { readonly path: string }): boolean {
  return !/\.(json|jinja|txt|model|md)$/i.test(path);
}
