import { readFile, stat, statfs } from 'node:fs/promises';
import { freemem, totalmem } from 'node:os';
import { dirname, join, resolve } from 'node:path';

/** Memory of the machine or, in a container, of its control group. */
export interface HostMemory {
  readonly totalBytes: number;
  /** What a new process can take without pushing others out. */
  readonly availableBytes: number;
}

/** Memory in total and free, in bytes. `root` replaces the root of the file system in tests. */
export async function hostMemory(root = '/'): Promise<HostMemory> {
  const read = async (path: string): Promise<string> => readFile(join(root, path), 'utf8').catch(() => '');
  // os.freemem leaves out the page cache, which the kernel releases immediately.
  const available = /^MemAvailable:\s+(\d+) kB/m.exec(await read('proc/meminfo'))?.[1];
  const total = /^MemTotal:\s+(\d+) kB/m.exec(await read('proc/meminfo'))?.[1];
  const machine: HostMemory = {
    totalBytes: total === undefined ? totalmem() : Number(total) * 1024,
    availableBytes: available === undefined ? freemem() : Number(available) * 1024,
  };
  const limit = Number((await read('sys/fs/cgroup/memory.max')).trim() || NaN); // "max" gives NaN
  if (!(limit > 0 && limit < machine.totalBytes)) return machine;
  const used = Number((await read('sys/fs/cgroup/memory.current')).trim() || 0);
  // Cached file pages count as used but are given back under pressure.
  const cached = Number(/^inactive_file (\d+)/m.exec(await read('sys/fs/cgroup/memory.stat'))?.[1] ?? 0);
  return { totalBytes: limit, availableBytes: Math.min(machine.availableBytes, Math.max(0, limit - used + cached)) };
}

/** Share of the free memory that a job may plan with where no limit was given: the rest is the editor's and the file cache's. */
const planningShare = 0.8;

/** Bytes that a job may plan with: its `--max-memory`, but never more than is free; without one, most of what is free. */
export function memoryLimitOf(maxMemory: number | undefined, memory: HostMemory): number {
  return maxMemory === undefined ? Math.floor(memory.availableBytes * planningShare) : Math.min(maxMemory, memory.availableBytes);
}

/** The disk of a path. */
export interface Disk {
  /** Equal for paths on the same file system. */
  readonly device: number;
  readonly freeBytes: number;
}

/** The disk of a path that may not exist yet. Undefined if the system does not tell. */
export async function diskOf(path: string): Promise<Disk | undefined> {
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    try {
      const [{ bavail, bsize }, { dev }] = await Promise.all([statfs(folder), stat(folder)]);
      return { device: dev, freeBytes: bavail * bsize };
    } catch {
      if (folder === dirname(folder)) return undefined;
    }
  }
}
