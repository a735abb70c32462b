import { readFileSync } from 'node:fs';

/** True while a process with that id exists on this machine, whoever owns it. A zombie, which only waits for its parent to ask how it ended, is dead. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: the process exists but belongs to another user.
    if ((error as { code?: string }).code !== 'EPERM') return false;
  }
  return !isZombie(pid);
}

/** Linux only: elsewhere there are no such processes, or `kill` does not see them. */
function isZombie(pid: number): boolean {
  if (process.platform !== 'linux') return false;
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name is in parentheses and may contain anything; the state is the field after it.
    const state = text.charAt(text.lastIndexOf(')') + 2);
    return state === 'Z' || state === 'X';
  } catch {
    return false;
  }
}
