import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobProgress } from '../../jobs';
import type { JobLine } from '../../panels/job';
import { keptOfEnded } from '../nativeAbort';
import { removeUnfinished } from '../removeUnfinished';
import { stateOf } from './processMark';
import type { RunEnd, RunProcess, RunRecord } from './runFiles';
import { parseLines, readRunFile, replaceFile, runFiles } from './runFiles';

/** Who is told about a run. */
export interface RunListener {
  readonly onProgress?: (progress: JobProgress) => void;
  readonly onLine?: (line: JobLine) => void;
  /** Once, at the end; nothing follows. */
  readonly onEnd: (end: RunEnd) => void;
}

/** Stops following; the run goes on. */
export interface RunFollower {
  dispose(): void;
}

const lookEveryMs = 200;
const livenessEveryMs = 1000;
/** A supervisor touches its file every two seconds; a machine that was asleep gets a second chance. */
const staleMs = 60_000;
const secondChanceMs = 10_000;
/** A process that has not started by then never will. */
const startMs = 60_000;

/**
 * Follows a run by its files, whoever started it and in whatever state it is: first what has happened so far, then what happens. If its processes are gone
 * without a word, the run is settled as interrupted.
 */
export function followRun(folder: string, record: RunRecord, listener: RunListener): RunFollower {
  const progress = new ChangedFile(join(folder, runFiles.progress));
  const log = new GrowingFile(join(folder, runFiles.log));
  const liveness = new Liveness(folder, Date.parse(record.startedAt));
  let disposed = false;
  let timer: NodeJS.Timeout | undefined;
  const look = async (): Promise<void> => {
    // Asked first: what was written before the end has then been read.
    let end = await readRunFile<RunEnd>(folder, runFiles.end);
    if (await progress.changed()) {
      const snapshot = await readRunFile<JobProgress>(folder, runFiles.progress);
      if (snapshot && !disposed) listener.onProgress?.(snapshot);
    }
    for (const line of parseLines(await log.more())) if (!disposed) listener.onLine?.(line);
    if (!end && (await liveness.isGone())) end = await settle(folder);
    if (disposed) return;
    if (end) {
      disposed = true;
      listener.onEnd(end);
      return;
    }
    timer = setTimeout(() => void look(), lookEveryMs);
    timer.unref?.();
  };
  void look();
  return {
    dispose: () => {
      disposed = true;
      clearTimeout(timer);
    },
  };
}

/** Ends a run whose processes are gone: removes what they had begun to write, and says so. The word of the supervisor, if there is one after all, counts. */
async function settle(folder: string): Promise<RunEnd> {
  const said = await readRunFile<RunEnd>(folder, runFiles.end);
  if (said) return said;
  const { engine, outputs } = (await readRunFile<RunProcess>(folder, runFiles.process)) ?? { outputs: [] };
  // An engine that lost its supervisor ends by itself and cleans up.
  if (engine && Array.isArray(outputs) && stateOf(engine) === 'ended')
    for (const output of outputs) await removeUnfinished(output, engine.pid).catch(() => []);
  const end: RunEnd = {
    status: 'interrupted',
    endedAt: new Date().toISOString(),
    error: {
      code: 'engine-crashed',
      message: `The process of this job is gone: it was killed, or the machine restarted. ${keptOfEnded}`,
    },
  };
  await replaceFile(folder, runFiles.end, end).catch(() => undefined);
  return end;
}

/** Whether the supervisor of a run is gone. */
class Liveness {
  private asked = 0;
  private staleSince: number | undefined;

  constructor(
    private readonly folder: string,
    private readonly started: number,
  ) {}

  async isGone(): Promise<boolean> {
    const now = Date.now();
    if (now - this.asked < livenessEveryMs) return false;
    this.asked = now;
    const path = join(this.folder, runFiles.process);
    const state = await readRunFile<RunProcess>(this.folder, runFiles.process);
    if (!state?.supervisor) return now - this.started > startMs || !(await stat(this.folder).catch(() => undefined));
    const found = stateOf(state.supervisor);
    if (found !== 'unknown') return found === 'ended';
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: 0 }));
    if (now - mtimeMs < staleMs) {
      this.staleSince = undefined;
      return false;
    }
    this.staleSince ??= now;
    return now - this.staleSince > secondChanceMs;
  }
}

/** A file that is replaced as a whole. */
class ChangedFile {
  private stamp = '';

  constructor(private readonly path: string) {}

  /** True if it was replaced since the last question. */
  async changed(): Promise<boolean> {
    const status = await stat(this.path).catch(() => undefined);
    const stamp = status === undefined ? '' : `${status.mtimeMs}:${status.size}:${status.ino}`;
    if (stamp === this.stamp) return false;
    this.stamp = stamp;
    return status !== undefined;
  }
}

/** A file that grows by whole lines. */
class GrowingFile {
  private offset = 0;

  constructor(private readonly path: string) {}

  /** The lines that were added since the last question. */
  async more(): Promise<string> {
    const status = await stat(this.path).catch(() => undefined);
    if (status === undefined || status.size <= this.offset) return '';
    const handle = await open(this.path, 'r').catch(() => undefined);
    if (!handle) return '';
    try {
      const bytes = Buffer.alloc(status.size - this.offset);
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, this.offset);
      const whole = bytes.subarray(0, bytes.subarray(0, bytesRead).lastIndexOf(10) + 1);
      this.offset += whole.length;
      return whole.toString('utf8');
    } finally {
      await handle.close();
    }
  }
}
