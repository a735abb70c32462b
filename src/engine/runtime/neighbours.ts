import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { isAlive } from '../../protocol/client/processState';
import { usableCores } from './threads';

/**
 * Processes of this user that are currently computing, as files named by process id in a folder of the temporary directory. Two processes
 * with spinning idle threads halve each other's speed, so a session checks this first.
 */
function neighbourFolder(): string {
  return join(tmpdir(), `loomweight-engines-${userInfo().username.replace(/[^\w.-]/g, '_')}`);
}

/** Announces this process as computing until it ends. Failure is harmless: only the spinning hint is lost. */
export function announceComputing(folder = neighbourFolder()): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const file = join(folder, String(process.pid));
    writeFileSync(file, '');
    process.once('exit', () => rmSync(file, { force: true }));
  } catch {
    // With a read-only temporary directory, other processes will not know about this one.
  }
}

/** True if another announced process is alive. Removes files of dead processes. */
export function hasComputingNeighbour(folder = neighbourFolder()): boolean {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return false;
  }
  let found = false;
  for (const name of names) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) continue;
    if (isAlive(pid)) found = true;
    else rmSync(join(folder, name), { force: true });
  }
  return found;
}

/**
 * True if more was running in the last minute than there are cores (never on Windows, which does not report it): spinning threads then take
 * time from each other. A training step with two threads on two loaded cores took a third longer with spinning.
 */
export function isMachineBusy(load = loadavg()[0] ?? 0, cores = usableCores()): boolean {
  return load > cores + 0.5;
}
