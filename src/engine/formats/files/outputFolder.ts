import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { LoomweightError } from '../../../protocol/errors';
import { removeEmptyFolders } from '../../../protocol/client/removeEmptyFolders';
import { temporaryName } from '../../../protocol/client/temporaryNames';
import { removeStaleOutputs } from './staleOutputs';

/** An output that has a temporary name next to its final one until it is complete. */
export interface PendingOutput {
  /** Path to write to. */
  readonly path: string;
  /**
   * Syncs everything and moves it to its final name. Errors: `insufficient-disk`, `io`, `invalid-argument`; nothing is left behind then.
   */
  commit(): Promise<void>;
  /** Removes everything written. Safe to call twice, and has no effect after `commit`. */
  discard(): Promise<void>;
}

/**
 * Starts an output folder next to its final location, so that the last step is one rename on the same disk. Never in place: an existing
 * folder is refused unless it is empty. Leftovers of processes that died are removed. Errors: `invalid-argument` if the folder exists and
 * is not empty, `io`, `insufficient-disk`.
 */
export async function createOutputFolder(directory: string): Promise<PendingOutput> {
  const final = path.resolve(directory);
  await refuseExisting(final);
  const parent = path.dirname(final);
  const made = await mkdir(parent, { recursive: true });
  await removeStaleOutputs(parent);
  const temporary = path.join(parent, temporaryName(path.basename(final), randomBytes(4).toString('hex')));
  try {
    await mkdir(temporary);
  } catch (error) {
    if (made !== undefined) await removeEmptyFolders(parent, made);
    throw error;
  }
  return pending(temporary, made, async () => {
    await syncTree(temporary);
    // There may be an empty folder: renaming onto it only works on POSIX, so it is removed first everywhere.
    await refuseExisting(final);
    await rmdir(final).catch((error: unknown) => {
      if ((error as { code?: string }).code !== 'ENOENT') throw error;
    });
    await rename(temporary, final);
    await syncFolder(parent);
  });
}

/** The same for a single file; the rename replaces an existing file atomically. */
export async function createOutputFile(file: string): Promise<PendingOutput> {
  const final = path.resolve(file);
  const parent = path.dirname(final);
  const made = await mkdir(parent, { recursive: true });
  await removeStaleOutputs(parent);
  const temporary = path.join(parent, temporaryName(path.basename(final), randomBytes(4).toString('hex')));
  return pending(temporary, made, async () => {
    await syncFile(temporary);
    await rename(temporary, final);
    await syncFolder(parent);
  });
}

/** `made`: the topmost parent that was made for this output, if any. */
function pending(temporary: string, made: string | undefined, publish: () => Promise<void>): PendingOutput {
  let settled = false;
  const discard = async () => {
    if (settled) return;
    settled = true;
    await rm(temporary, { recursive: true, force: true, maxRetries: 3 });
    if (made !== undefined) await removeEmptyFolders(path.dirname(temporary), made);
  };
  const commit = async () => {
    try {
      await publish();
    } catch (error) {
      await discard();
      throw error;
    }
    settled = true;
  };
  return { path: temporary, commit, discard };
}

async function refuseExisting(final: string): Promise<void> {
  const entries = await readdir(final).catch((error: unknown) => {
    const { code } = error as { code?: string };
    if (code === 'ENOENT') return [];
    if (code === 'ENOTDIR')
      throw new LoomweightError('invalid-argument', `The output ${final} is a file, but must be a folder. Choose another name.`, {
        path: final,
      });
    throw error;
  });
  if (entries.length > 0)
    throw new LoomweightError(
      'invalid-argument',
      `The output folder ${final} already exists and is not empty. Choose another, or delete it first.`,
      { path: final },
    );
}

/** Flushes every file below a folder to disk: only then does the rename guarantee complete files. */
async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const child = path.join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(child);
    else if (entry.isFile()) await syncFile(child);
  }
  await syncFolder(folder);
}

async function syncFile(file: string): Promise<void> {
  // Windows only syncs through a writable handle.
  const handle = await open(file, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes renames durable. Windows cannot open folders for this and does not need it. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32' || !(await stat(folder)).isDirectory()) return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync().catch(() => undefined); // some network file systems refuse to sync a folder
  } finally {
    await handle.close();
  }
}
