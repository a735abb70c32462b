import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { access, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { LoomweightError } from '../../errors';
import type { JobProgress, JobSpec } from '../../jobs';
import type { JobDescription } from '../../kinds';
import type { JobLine } from '../../panels/job';
import { followRun } from './followRun';
import type { RunFollower, RunListener } from './followRun';
import type { RunEnd, RunProcess, RunRecord } from './runFiles';
import { makePrivateFolder, parseLines, readRunFile, replaceFile, runFiles, runFormat } from './runFiles';

/** What is started. */
export interface RunRequest {
  readonly spec: JobSpec;
  readonly description: JobDescription;
  readonly workspace: string;
  /** Version of the program. */
  readonly version: string;
}

/** With what. */
export interface RunProgram {
  /** Path of `dist/supervisor.js`; the engine is beside it. */
  readonly supervisorPath: string;
  /** Folder of another onnxruntime-node package. */
  readonly runtimePath?: string;
}

/** Ended runs that are kept, of all workspaces together. */
const keptRuns = 100;
const startTimeoutMs = 30_000;
const idPattern = /^[a-z0-9]+-[0-9a-f]{8}$/;

/**
 * The runs of this user on this machine, each in a folder of its own. A run belongs to no window: any may follow it, cancel it, or read how it ended.
 * Folders and files are the user's alone.
 */
export class RunStore {
  constructor(readonly folder: string) {}

  /** Makes the folder of all runs. Gives its path. Errors: `io`. */
  async prepare(): Promise<string> {
    await makePrivateFolder(this.folder);
    return this.folder;
  }

  /**
   * Starts a run in a process that outlives this one. Resolves when it has begun. Errors: `engine-crashed` with what the process printed; `io` where the folder
   * cannot be used. Nothing is left then.
   */
  async start(request: RunRequest, program: RunProgram): Promise<RunRecord> {
    await this.prepare();
    const id = `${Date.now().toString(36)}-${randomUUID().slice(0, 8)}`;
    const { spec, description, workspace, version } = request;
    const record: RunRecord = {
      format: runFormat,
      id,
      workspace,
      title: description.title,
      startedAt: new Date().toISOString(),
      version,
      program: dirname(program.supervisorPath),
      spec,
      description,
    };
    const folder = this.folderOf(id);
    await makePrivateFolder(folder);
    try {
      await replaceFile(folder, runFiles.record, record);
      await launch(folder, program);
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
    void this.prune();
    return record;
  }

  /** Runs that are known, newest first; of one workspace, where one is given. */
  async list(workspace?: string): Promise<readonly RunRecord[]> {
    const names = await readdir(this.folder).catch(() => [] as string[]);
    const records = await Promise.all(names.filter((name) => idPattern.test(name)).map((id) => this.record(id)));
    return records
      .filter((record) => record !== undefined)
      .filter((record) => workspace === undefined || record.workspace === workspace)
      .sort((a, b) => b.startedAt.localeCompare(a.startedAt));
  }

  /** Folders of the programs of runs that have not ended. */
  async programsInUse(): Promise<ReadonlySet<string>> {
    const running = [];
    for (const { id, program } of await this.list()) if (program !== undefined && !(await this.end(id))) running.push(program);
    return new Set(running);
  }

  /** A run by its id. Undefined if it is not known. One of another format has a plain description. */
  async record(id: string): Promise<RunRecord | undefined> {
    if (!idPattern.test(id)) return undefined;
    const record = await readRunFile<RunRecord>(this.folderOf(id), runFiles.record);
    if (record?.id !== id || typeof record.startedAt !== 'string' || typeof record.title !== 'string') return undefined;
    if (record.format === runFormat) return record;
    return {
      ...record,
      spec: { kind: 'unknown' },
      description: { title: record.title, subtitle: `started by Loomweight ${record.version}`, opens: 'progress' },
    };
  }

  /** Follows a run. */
  follow(record: RunRecord, listener: RunListener): RunFollower {
    return followRun(this.folderOf(record.id), record, listener);
  }

  /** How a run ended. Undefined while it runs. */
  async end(id: string): Promise<RunEnd | undefined> {
    return idPattern.test(id) ? readRunFile<RunEnd>(this.folderOf(id), runFiles.end) : undefined;
  }

  /** What an ended run had come to: its last progress, its messages. */
  async past(id: string): Promise<{ readonly progress?: JobProgress; readonly lines: readonly JobLine[] }> {
    if (!idPattern.test(id)) return { lines: [] };
    const progress = await readRunFile<JobProgress>(this.folderOf(id), runFiles.progress);
    const text = await readFile(join(this.folderOf(id), runFiles.log), 'utf8').catch(() => '');
    return { lines: parseLines(text), ...(progress && { progress }) };
  }

  /** Asks a run to stop; it does within some two seconds. Errors: `not-found` where it is gone. */
  async cancel(id: string): Promise<void> {
    await writeFile(join(this.folderOf(id), runFiles.cancel), '', { mode: 0o600 }).catch((error: unknown) => {
      throw new LoomweightError('not-found', 'This job is no longer running.', { job: id }, { cause: error });
    });
  }

  /** Forgets an ended run; one that runs is left alone. */
  async remove(id: string): Promise<void> {
    if (await this.end(id)) await rm(this.folderOf(id), { recursive: true, force: true });
  }

  /** Forgets the oldest of the ended runs. */
  private async prune(): Promise<void> {
    const ended = [];
    for (const { id } of await this.list()) if (await this.end(id)) ended.push(id);
    for (const id of ended.slice(keptRuns)) await this.remove(id);
  }

  private folderOf(id: string): string {
    return join(this.folder, id);
  }
}

/** Starts the supervisor apart from this process: in a session of its own, without streams or a channel that would end with it. */
async function launch(folder: string, { supervisorPath, runtimePath }: RunProgram): Promise<void> {
  const output = openSync(join(folder, runFiles.output), 'a', 0o600);
  try {
    const child = spawn(process.execPath, [supervisorPath, folder], {
      detached: true,
      stdio: ['ignore', output, output],
      windowsHide: true,
      // A working folder cannot be removed on Windows: neither the workspace nor the extension may be held.
      cwd: homedir(),
      env: {
        ...process.env,
        ELECTRON_RUN_AS_NODE: '1',
        ...(runtimePath === undefined ? {} : { LOOMWEIGHT_RUNTIME_PATH: runtimePath }),
      },
    });
    let ended: string | undefined;
    child.once('error', (error) => (ended = error.message));
    child.once('exit', (code, signal) => (ended ??= `it ended with ${signal ?? `exit code ${code}`}`));
    child.unref();
    const deadline = Date.now() + startTimeoutMs;
    while (!(await hasBegun(folder))) {
      if (ended === undefined && Date.now() > deadline) {
        child.kill('SIGKILL');
        ended = `it did not begin within ${startTimeoutMs / 1000} s`;
      }
      // It may have begun and ended since.
      if (ended !== undefined && !(await hasBegun(folder))) throw await startError(folder, ended);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  } finally {
    closeSync(output);
  }
}

async function hasBegun(folder: string): Promise<boolean> {
  if ((await readRunFile<RunProcess>(folder, runFiles.process)) !== undefined) return true;
  return access(join(folder, runFiles.end)).then(
    () => true,
    () => false,
  );
}

async function startError(folder: string, how: string): Promise<LoomweightError> {
  const printed = await readFile(join(folder, runFiles.output), 'utf8').catch(() => '');
  const tail = printed.trim().split('\n').slice(-3).join(' ');
  return new LoomweightError(
    'engine-crashed',
    `The process of the job did not start: ${how}.${tail === '' ? '' : ` Last output: ${tail}`}`,
    { output: printed.slice(-10_000) },
  );
}
