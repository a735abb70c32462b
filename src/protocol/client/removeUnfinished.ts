import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { temporaryWriter } from './temporaryNames';

/** Removes what a process that is gone had begun to write beside an output path. Gives the paths that were removed. */
export async function removeUnfinished(output: string, pid: number): Promise<readonly string[]> {
  const folder = dirname(output);
  const names = await readdir(folder).catch(() => [] as string[]);
  const paths = names.filter((name) => isFrom(name, basename(output), pid)).map((name) => join(folder, name));
  for (const path of paths) await rm(path, { recursive: true, force: true });
  return paths;
}

function isFrom(name: string, target: string, pid: number): boolean {
  const writer = temporaryWriter(name);
  return writer !== undefined && writer.isThisMachine && writer.target === target && writer.pid === pid;
}
