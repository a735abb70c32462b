import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Who dies: the command line and its engine, the engine alone, or the command line alone. */
export type Victim = 'all' | 'engine' | 'command';

/** Where a kill happens: every folder is its own. */
export interface KillPlace {
  readonly script: string;
  /** Temporary directory, state and outputs of the jobs are below it. */
  readonly folder: string;
}

/** How a command is killed. */
export interface KillOptions {
  readonly seconds: number;
  readonly victim: Victim;
  /** Words of the start after it. */
  readonly next: readonly string[];
  /** A folder that the job writes to besides OUT; it may be missing. */
  readonly watched: string;
}

/** What one kill came to. */
export interface KillResult {
  /** The job had finished before the kill. */
  readonly finished: boolean;
  /** Paths that a later start should have removed, and outputs that are neither absent nor whole. */
  readonly leftOver: readonly string[];
}

const environment = ({ folder }: KillPlace): NodeJS.ProcessEnv => ({
  ...process.env,
  TMPDIR: join(folder, 'tmp'),
  LOOMWEIGHT_STATE: join(folder, 'state'),
});

/** Runs a command to its end; seconds. Errors: where it does not end with 0. */
export function runToEnd(place: KillPlace, words: readonly string[]): number {
  mkdirSync(join(place.folder, 'tmp'), { recursive: true });
  const started = performance.now();
  const { status, stderr } = spawnSync(process.execPath, [place.script, ...words, '--quiet'], {
    env: environment(place),
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`loomweight ${words.join(' ')} ended with ${status}: ${stderr}`);
  return (performance.now() - started) / 1000;
}

/** Kills a command after `seconds` and gives what the next start leaves of it. Linux only. */
export async function killOne(
  place: KillPlace,
  words: readonly string[],
  { seconds, victim, next, watched }: KillOptions,
): Promise<KillResult> {
  const outputs = join(place.folder, 'outputs');
  rmSync(outputs, { recursive: true, force: true });
  mkdirSync(outputs);
  // Folders that the job has to make belong to it.
  const out = join(outputs, 'made', 'deep', 'out');
  const child = spawn(process.execPath, [place.script, ...words.map((word) => (word === 'OUT' ? out : word)), '--quiet'], {
    env: environment(place),
    detached: true,
    stdio: 'ignore',
  });
  const pid = child.pid as number;
  const ended = once(child, 'exit');
  const first = await Promise.race([ended.then(() => 'ended' as const), sleep(seconds * 1000, 'time' as const)]);
  if (first === 'time') {
    if (victim === 'all') process.kill(-pid, 'SIGKILL');
    else if (victim === 'command') child.kill('SIGKILL');
    else for (const engine of membersOf(pid).filter((member) => member !== pid)) tryKill(engine);
  }
  await ended;
  while (membersOf(pid).length > 0) await sleep(50);
  runToEnd(place, next);
  const temporary = readdirSync(join(place.folder, 'tmp')).filter((name) => !name.startsWith('loomweight-engines-'));
  return {
    finished: first === 'ended',
    leftOver: [...temporary.map((name) => join('tmp', name)), ...leftOf(outputs, out), ...unfinishedIn(watched)],
  };
}

/** Running processes of a group; zombies do not count. */
function membersOf(group: number): readonly number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const text = readFileSync(`/proc/${name}/stat`, 'latin1');
      const [state, , processGroup] = text.slice(text.lastIndexOf(')') + 2).split(' ');
      return Number(processGroup) === group && state !== 'Z' && state !== 'X' ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended in the meantime.
  }
}

/** What is wrong below the folder of outputs: a whole output, a checkpoint to resume from, or nothing at all is right. */
function leftOf(outputs: string, out: string): readonly string[] {
  const parent = join(out, '..');
  if (!existsSync(parent)) return readdirSync(outputs).map((name) => join('outputs', name));
  const wrong = readdirSync(parent).filter((name) => !(name === 'out' && isWhole(out)) && !name.endsWith('.checkpoint'));
  return readdirSync(parent).length === 0 ? [parent] : wrong.map((name) => join(parent, name));
}

function isWhole(out: string): boolean {
  try {
    return typeof (JSON.parse(readFileSync(join(out, 'report.json'), 'utf8')) as { primary?: unknown }).primary === 'string';
  } catch {
    return false;
  }
}

function unfinishedIn(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.startsWith('.') || !isWhole(join(folder, name)))
    .map((name) => join(folder, name));
}
