import { chmod, lstat, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LoomweightError } from '../../errors';
import type { ErrorData } from '../../errors';
import type { JobProgress, JobSpec } from '../../jobs';
import type { JobDescription } from '../../kinds';
import type { JobLine } from '../../panels/job';
import type { JobReport } from '../../report';
import type { OutputToCome } from '../outputToCome';
import type { ProcessMark } from './processMark';

/** Rises whenever a file of a run changes its meaning. A reader of another format shows the run's title and end, and can cancel it. */
export const runFormat = 1;

/**
 * Files of a run, in a folder of its own below the folder of all runs. Each has one writer at a time. Those that are replaced are written under another name
 * and renamed, so that a reader never sees half of one.
 */
export const runFiles = {
  /** What runs. Written once, by who starts the run. */
  record: 'run.json',
  /** Who runs it. Touched every two seconds while it runs. */
  process: 'process.json',
  /** The latest snapshot of progress. */
  progress: 'progress.json',
  /** Messages, one JSON object a line, appended. */
  log: 'log.ndjson',
  /** How it ended. Once it is there, nothing changes any more. */
  end: 'end.json',
  /** Written by who wants it to stop. */
  cancel: 'cancel',
  /** What the processes print: for the log, and for the reason of a crash. */
  output: 'output.log',
} as const;

/** run.json. `format`, `id`, `workspace`, `title` and `startedAt` keep their meaning in every format. */
export interface RunRecord {
  readonly format: number;
  readonly id: string;
  /** Names the workspace whose windows show the run. */
  readonly workspace: string;
  readonly title: string;
  /** ISO time. */
  readonly startedAt: string;
  /** Version of the program that runs it. */
  readonly version: string;
  /** Folder of that program. */
  readonly program?: string;
  readonly spec: JobSpec;
  readonly description: JobDescription;
}

/** process.json. `supervisor` keeps its meaning in every format. */
export interface RunProcess {
  readonly supervisor: ProcessMark;
  /** The process that computes, once it has started. */
  readonly engine?: ProcessMark;
  /** Absolute paths that the run writes: what is unfinished beside them is removed if both processes die. */
  readonly outputs: readonly OutputToCome[];
}

/** end.json. `status` keeps its meaning in every format. */
export interface RunEnd {
  readonly status: 'done' | 'failed' | 'cancelled' | 'interrupted';
  readonly endedAt: string;
  readonly report?: JobReport;
  readonly error?: ErrorData;
}

/**
 * Makes a folder that only the user can read and write. Specifications and paths are in it, and whoever writes to it can stop a job. Errors: `io` if it is
 * somebody else's. On Windows the user's own folders are protected by what they inherit.
 */
export async function makePrivateFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if (process.platform === 'win32') return;
  const { uid, mode } = await lstat(folder);
  if (uid !== process.getuid?.())
    throw new LoomweightError('io', `The folder ${folder} belongs to another user. Jobs are kept only in a folder of your own.`, {
      path: folder,
    });
  if ((mode & 0o077) !== 0) await chmod(folder, 0o700);
}

/** Replaces a file as a whole. A reader sees the old or the new one. */
export async function replaceFile(folder: string, name: string, value: unknown): Promise<void> {
  const path = join(folder, name);
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, JSON.stringify(value, keepNonFinite), { mode: 0o600 });
  try {
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Reads a file of a run. Undefined if it is missing or damaged. */
export async function readRunFile<T extends RunRecord | RunProcess | RunEnd | JobProgress>(
  folder: string,
  name: string,
): Promise<T | undefined> {
  const text = await readFile(join(folder, name), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (parse(text) as T | undefined);
}

/** The messages in a piece of the log. A damaged line is left out. */
export function parseLines(text: string): readonly JobLine[] {
  return text.split('\n').flatMap((line) => {
    const value = parse(line) as Partial<JobLine> | undefined;
    return typeof value?.text === 'string' && typeof value.seconds === 'number' && value.level !== undefined ? [value as JobLine] : [];
  });
}

function parse(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text, reviveNonFinite);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** JSON has no NaN and no infinities; a diverging loss is one. */
function keepNonFinite(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isFinite(value) ? { nonFinite: String(value) } : value;
}

function reviveNonFinite(_key: string, value: unknown): unknown {
  const text = (value as { nonFinite?: unknown } | null)?.nonFinite;
  return typeof text === 'string' ? Number(text) : value;
}
