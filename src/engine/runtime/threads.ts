import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** Cores that this process may use: those of the scheduler, limited by a container's quota if there is one. */
export function usableCores(): number {
  return Math.max(1, Math.min(availableParallelism(), Math.ceil(containerQuota())));
}

/** CPU quota of the control group in cores; Infinity if there is none. Linux, cgroup version 2. */
function containerQuota(): number {
  try {
    const [quota, period] = readFileSync('/sys/fs/cgroup/cpu.max', 'utf8').trim().split(' ');
    const cores = Number(quota) / Number(period);
    return cores > 0 ? cores : Infinity; // "max 100000" gives NaN
  } catch {
    return Infinity;
  }
}

/**
 * Threads of a session: the requested number, but never more than the cores (4 threads on 2 cores run 3 times slower); all cores by
 * default.
 */
export function chooseThreads(asked: number | undefined, cores = usableCores()): number {
  if (asked === undefined || !Number.isFinite(asked) || asked < 1) return cores;
  return Math.min(Math.floor(asked), cores);
}
