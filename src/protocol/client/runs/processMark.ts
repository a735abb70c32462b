import { hostname } from 'node:os';
import { pidNamespace } from '../pidNamespace';
import { lookAt } from '../processState';

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
export function markOf(pid: number): ProcessMark {
  const { startTicks } = lookAt(pid);
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
export function stateOf(mark: ProcessMark): 'running' | 'ended' | 'unknown' {
  if (mark.machine !== hostname()) return 'unknown';
  if (mark.namespace !== undefined && mark.namespace !== pidNamespace()) return 'unknown';
  const { exists, startTicks, zombie } = lookAt(mark.pid);
  if (!exists || zombie) return 'ended';
  if (mark.startTicks === undefined || startTicks === undefined) return 'unknown';
  return mark.startTicks === startTicks ? 'running' : 'ended';
}
