import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { folderWriter, temporaryFolderName } from '../../../protocol/client/temporaryNames';
import { isAlive } from '../../../protocol/client/processState';

/** A folder in the system's temporary directory. */
export interface TemporaryFolder {
  readonly path: string;
  /** Removes it with its contents; never throws. May be called twice: some systems keep a file while a session has it mapped. */
  remove(): Promise<void>;
}

/**
 * Makes a folder in the temporary directory, which only this user can read. Its name states the process: should that die before it calls `remove`, the next process that
 * makes one, or that runs a job, removes it. Errors: those of the file system.
 */
export function createTemporaryFolder(purpose: string): TemporaryFolder {
  removeStaleFolders();
  const path = join(tmpdir(), temporaryFolderName(purpose, randomBytes(6).toString('hex')));
  mkdirSync(path, { mode: 0o700 });
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined) };
}

/** Removes temporary folders of processes of this machine that have ended. Never fails: cleaning up is best effort. Gives the removed paths. */
export function removeStaleFolders(within = tmpdir()): readonly string[] {
  const removed: string[] = [];
  for (const name of namesIn(within)) {
    const writer = folderWriter(name);
    if (!writer?.isThisMachine || isAlive(writer.pid)) continue;
    const path = join(within, name);
    try {
      rmSync(path, { recursive: true, force: true });
      removed.push(path);
    } catch {
      // Another user's folder, or one that another process is removing.
    }
  }
  return removed;
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
