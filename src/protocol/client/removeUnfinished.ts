import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { OutputToCome } from './outputToCome';
import { removeEmptyFolders } from './removeEmptyFolders';
import { temporaryWriter } from './temporaryNames';

/** Removes what a process that is gone had begun to write beside an output path, and the folders that it made for it. Gives the paths of what it had begun. */
export async function removeUnfinished({ path, firstMade }: OutputToCome, pid: number): Promise<readonly string[]> {
  const folder = dirname(path);
  const names = await readdir(folder).catch(() => [] as string[]);
  const paths = names.filter((name) => isFrom(name, basename(path), pid)).map((name) => join(folder, name));
  for (const unfinished of paths) await rm(unfinished, { recursive: true, force: true });
  if (firstMade !== undefined) await removeEmptyFolders(folder, firstMade);
  return paths;
}

function isFrom(name: string, target: string, pid: number): boolean {
  const writer = temporaryWriter(name);
  return writer !== undefined && writer.isThisMachine && writer.target === target && writer.pid === pid;
}
