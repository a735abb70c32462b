import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { removeEmptyFolders } from '../../protocol/client/removeEmptyFolders';
import { markOf, stateOf, type ProcessMark } from '../../protocol/client/runs/processMark';
import { LoomweightError } from '../../protocol/errors';

/** owner.json: the process that trains into the folder, and a token that tells its trainings apart. */
interface OwnerRecord extends ProcessMark {
  readonly token: string;
}

const ownerName = 'owner.json';
/** The owner touches its file so often. */
const touchEveryMs = 10_000;
/** Where its process cannot be looked at (another machine, or a system without start times), an owner that has not touched its file for so long is gone. */
const staleMs = 120_000;
/** A file of an ended process is removed and made anew; another training may do the same at the same time. */
const attempts = 5;

/** Refuses a checkpoint folder into which another training writes. Errors: `invalid-argument`, with folder and process in its details. */
export async function refuseOwned(folder: string): Promise<void> {
  const owner = await liveOwner(folder);
  if (owner) throw inUse(folder, owner);
}

/**
 * The right of one training to write into a checkpoint folder: a file in it that names its process. It lasts until `release`, or as long as the
 * process lives. Two trainings that both find the file of an ended one may both think that they have the folder, since one can remove the file that the other has just made; the file
 * names one of them, and `requireOwned` stops the other at its next save.
 */
export class CheckpointOwner {
  private readonly timer: NodeJS.Timeout;

  private constructor(
    private readonly folder: string,
    private readonly record: OwnerRecord,
    /** The topmost folder that was made. */
    private readonly firstMade: string,
  ) {
    // A file that is gone is made anew by the next save.
    this.timer = setInterval(() => void utimes(this.path, new Date(), new Date()).catch(() => undefined), touchEveryMs);
    this.timer.unref();
  }

  /** Takes a folder, which is made where it does not exist. Errors: `invalid-argument` where another training writes into it. */
  static async take(folder: string): Promise<CheckpointOwner> {
    const firstMade = (await mkdir(folder, { recursive: true })) ?? folder;
    const record = { ...markOf(process.pid), token: randomBytes(8).toString('hex') };
    try {
      await create(folder, record);
    } catch (error) {
      await removeEmptyFolders(folder, firstMade);
      throw error;
    }
    return new CheckpointOwner(folder, record, firstMade);
  }

  /** Asked before every write. A file that somebody removed is made anew. Errors: `invalid-argument` where another training has taken the folder. */
  async requireOwned(): Promise<void> {
    const found = await readOwner(this.folder);
    if (found?.token === this.record.token) return;
    if (found !== undefined) throw inUse(this.folder, found);
    await mkdir(this.folder, { recursive: true });
    await create(this.folder, this.record);
  }

  /** Gives the folder back, and removes it where nothing was written. Safe to call twice. */
  async release(): Promise<void> {
    clearInterval(this.timer);
    if ((await readOwner(this.folder))?.token === this.record.token) await rm(this.path, { force: true });
    await removeEmptyFolders(this.folder, this.firstMade);
  }

  private get path(): string {
    return join(this.folder, ownerName);
  }
}

/** Makes the file. Only a file of a process that has ended is replaced. */
async function create(folder: string, record: OwnerRecord): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await writeFile(join(folder, ownerName), `${JSON.stringify(record)}\n`, { flag: 'wx' });
      return;
    } catch (error) {
      const exists = (error as { code?: string }).code === 'EEXIST';
      // A full disk: the file may be there, with nothing in it.
      if (!exists) await rm(join(folder, ownerName), { force: true }).catch(() => undefined);
      if (!exists || attempt === attempts) throw error;
    }
    const owner = await liveOwner(folder);
    if (owner) throw inUse(folder, owner);
    await rm(join(folder, ownerName), { force: true });
  }
}

/** The owner of a folder, unless its process has ended. */
async function liveOwner(folder: string): Promise<Partial<OwnerRecord> | undefined> {
  const owner = await readOwner(folder);
  if (owner === undefined) return undefined;
  const { pid, machine } = owner;
  const state = typeof pid === 'number' && typeof machine === 'string' ? stateOf({ ...owner, pid, machine }) : 'unknown';
  if (state !== 'unknown') return state === 'running' ? owner : undefined;
  const { mtimeMs } = await stat(join(folder, ownerName)).catch(() => ({ mtimeMs: 0 }));
  return Date.now() - mtimeMs < staleMs ? owner : undefined;
}

/** What the file states: nothing where it is damaged or only just being written. Undefined: there is none. */
async function readOwner(folder: string): Promise<Partial<OwnerRecord> | undefined> {
  const text = await readFile(join(folder, ownerName), 'utf8').catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes((error as { code?: string }).code ?? '')) return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

function inUse(folder: string, { pid, machine }: Partial<OwnerRecord>): LoomweightError {
  const who = pid === undefined ? 'Another training' : `Another training (process ${pid} on ${machine})`;
  return new LoomweightError(
    'invalid-argument',
    `${who} is writing its checkpoint to ${folder}. Choose another output, or wait until that training has ended.`,
    { folder, ...(pid === undefined ? {} : { process: pid, machine }) },
  );
}
