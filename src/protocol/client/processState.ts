import { readFileSync } from 'node:fs';

/** What this machine says of a process id. */
export interface ProcessState {
  readonly exists: boolean;
  /** True for a process that only waits for its parent to ask how it ended. Linux only. */
  readonly zombie?: boolean;
  /** When the process started, in ticks since the machine did. Linux only. */
  readonly startTicks?: string;
}

/** The state of a process of this machine, whoever owns it. */
export function lookAt(pid: number): ProcessState {
  if (process.platform !== 'linux') return { exists: exists(pid) };
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    // Processes of other users may be hidden there.
    return { exists: exists(pid) };
  }
  // The name is in parentheses and may contain anything. After it: state is the 1st field, start time the 20th.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { exists: true, zombie: fields[0] === 'Z' || fields[0] === 'X', ...(fields[19] === undefined ? {} : { startTicks: fields[19] }) };
}

/** True while a process with that id exists on this machine, whoever owns it. A zombie is dead. */
export function isAlive(pid: number): boolean {
  const { exists: found, zombie } = lookAt(pid);
  return found && zombie !== true;
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: the process exists but belongs to another user.
    return (error as { code?: string }).code === 'EPERM';
  }
}
