import { randomUUID } from 'node:crypto';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { outputToCome, type OutputToCome } from '../../protocol/client/outputToCome';
import { markOf, stateOf, type ProcessMark } from '../../protocol/client/runs/processMark';
import { removeUnfinished } from '../../protocol/client/removeUnfinished';
import { toErrorData } from '../../protocol/errors';
import type { ErrorData } from '../../protocol/errors';
import type { JobSpec } from '../../protocol/jobs';
import { isAlive } from '../../protocol/client/processState';

/** One run, as a file `<id>.json`. */
export interface JournalEntry {
  readonly id: string;
  readonly pid: number;
  /** Tells the process from a later one with its id, and from those of other machines and containers. Earlier versions did not write it. */
  readonly mark?: ProcessMark;
  readonly spec: JobSpec;
  readonly status: 'running' | 'done' | 'failed' | 'cancelled';
  /** ISO times. */
  readonly startedAt: string;
  readonly endedAt?: string;
  /** What the run was to write. */
  readonly outputs: readonly OutputToCome[];
  readonly error?: ErrorData;
}

/** Runs that are remembered. */
const keptEntries = 100;

/** The user's folder for state that may be lost: journal entries. `LOOMWEIGHT_STATE` overrides it. */
export function defaultStateFolder(): string {
  const given = process.env['LOOMWEIGHT_STATE'];
  if (given) return resolve(given);
  switch (process.platform) {
    case 'win32':
      return join(process.env['LOCALAPPDATA'] ?? join(homedir(), 'AppData', 'Local'), 'Loomweight');
    case 'darwin':
      return join(homedir(), 'Library', 'Application Support', 'Loomweight');
    default:
      return join(process.env['XDG_STATE_HOME'] ?? join(homedir(), '.local', 'state'), 'loomweight');
  }
}

/**
 * What was run, for the history and for cleaning up after a crash. Losing it loses nothing but history: a journal that cannot be
 * written is silently absent, a damaged entry is skipped.
 */
export class Journal {
  constructor(private readonly folder = join(defaultStateFolder(), 'jobs')) {}

  /** Notes that a run begins. Give the result to `end`. */
  async begin(spec: JobSpec, outputs: readonly string[]): Promise<JournalEntry> {
    const entry: JournalEntry = {
      id: `${Date.now().toString(36)}-${randomUUID().slice(0, 8)}`,
      pid: process.pid,
      mark: markOf(process.pid),
      spec,
      status: 'running',
      startedAt: new Date().toISOString(),
      outputs: outputs.map(outputToCome),
    };
    await this.write(entry);
    return entry;
  }

  /** Notes how a run ended; `error` absent: done. */
  async end(entry: JournalEntry, error?: unknown): Promise<void> {
    const data = error === undefined ? undefined : toErrorData(error);
    await this.write({
      ...entry,
      status: data === undefined ? 'done' : data.code === 'cancelled' ? 'cancelled' : 'failed',
      endedAt: new Date().toISOString(),
      ...(data === undefined ? {} : { error: data }),
    });
  }

  /** Past and running jobs, newest first. */
  async entries(): Promise<readonly JournalEntry[]> {
    const names = await readdir(this.folder).catch(() => [] as string[]);
    const read = await Promise.all(names.filter((name) => name.endsWith('.json')).map((name) => this.read(name)));
    return read.filter((entry) => entry !== undefined).sort((a, b) => b.startedAt.localeCompare(a.startedAt));
  }

  /**
   * Closes the entries of processes of this machine that died: removes what they had begun to write, marks them failed, forgets the oldest.
   * Gives the removed paths.
   */
  async recover(): Promise<readonly string[]> {
    const removed: string[] = [];
    const entries = await this.entries();
    for (const entry of entries) {
      if (entry.status !== 'running' || !hasEnded(entry)) continue;
      for (const output of entry.outputs) removed.push(...(await removeUnfinished(output, entry.pid)));
      await this.write({
        ...entry,
        status: 'failed',
        endedAt: new Date().toISOString(),
        error: { code: 'engine-crashed', message: 'The process of this job ended before the job finished.' },
      });
    }
    for (const { id } of entries.slice(keptEntries)) await rm(join(this.folder, `${id}.json`), { force: true });
    return removed;
  }

  private async read(name: string): Promise<JournalEntry | undefined> {
    try {
      const entry = JSON.parse(await readFile(join(this.folder, name), 'utf8')) as Partial<JournalEntry>;
      const whole =
        `${entry.id}.json` === name &&
        entry.startedAt !== undefined &&
        Array.isArray(entry.outputs) &&
        Number.isInteger(entry.pid) &&
        (entry.mark === undefined || Number.isInteger(entry.mark.pid));
      // Earlier versions wrote paths alone.
      return whole
        ? { ...(entry as JournalEntry), outputs: (entry.outputs as readonly (OutputToCome | string)[]).map(asOutput) }
        : undefined;
    } catch {
      return undefined;
    }
  }

  private async write(entry: JournalEntry): Promise<void> {
    const path = join(this.folder, `${entry.id}.json`);
    try {
      await mkdir(this.folder, { recursive: true });
      await writeFile(`${path}.${process.pid}.tmp`, JSON.stringify(entry, undefined, 1));
      await rename(`${path}.${process.pid}.tmp`, path);
    } catch {
      // History is a convenience; a full or read-only home must not stop a job.
    }
  }
}

/** False where it cannot be known: a home folder can be shared with other machines and containers, whose processes cannot be asked about from here. */
function hasEnded({ mark, pid }: JournalEntry): boolean {
  return mark === undefined ? !isAlive(pid) : stateOf(mark) === 'ended';
}

function asOutput(output: OutputToCome | string): OutputToCome {
  return typeof output === 'string' ? { path: output } : output;
}
