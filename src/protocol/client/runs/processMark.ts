import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { pidNamespace } from '../pidNamespace';

/** Tells one process of one machine from every other: ids are given out again. */
export interface ProcessMark {
  readonly pid: number;
  readonly machine: string;
  /** The PID namespace that `pid` is an id of: containers can share a host name. Linux only. */
  readonly namespace?: string;
  /** When the process started, in ticks since the machine did. Linux only. */
  readonly startTicks?: string;
}

/** The mark of a process of this machine. */
export async function markOf(pid: number): Promise<ProcessMark> {
  const { startTicks } = await look(pid);
  const namespace = pidNamespace();
  return {
    pid,
    machine: hostname(),
    ...(namespace === undefined ? {} : { namespace }),
    ...(startTicks === undefined ? {} : { startTicks }),
  };
}

/**
 * Whether a marked process still runs: `unknown` where only its id can be compared, or where it runs on another machine or in another
 * container that shares the folder. A zombie has ended.
 */
export async function stateOf(mark: ProcessMark): Promise<'running' | 'ended' | 'unknown'> {
  if (mark.machine !== hostname()) return 'unknown';
  if (mark.namespace !== undefined && mark.namespace !== pidNamespace()) return 'unknown';
  const { exists, startTicks, zombie } = await look(mark.pid);
  if (!exists || zombie) return 'ended';
  if (mark.startTicks === undefined || startTicks === undefined) return 'unknown';
  return mark.startTicks === startTicks ? 'running' : 'ended';
}

interface Look {
  readonly exists: boolean;
  readonly zombie?: boolean;
  readonly startTicks?: string;
}

async function look(pid: number): Promise<Look> {
  if (process.platform !== 'linux') return { exists: exists(pid) };
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (text === undefined) return { exists: exists(pid) };
  // The name is in parentheses and may contain anything. After it: state is the 1st field, start time the 20th.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { exists: true, zombie: fields[0] === 'Z' || fields[0] === 'X', ...(fields[19] === undefined ? {} : { startTicks: fields[19] }) };
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
