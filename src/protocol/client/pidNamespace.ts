import { readlinkSync } from 'node:fs';

let known: { readonly id: string | undefined } | undefined;

/**
 * The PID namespace of this process, as the number of its inode: containers that share a host name and a folder give out the same process ids, each its own.
 * Linux only; undefined elsewhere, and where `/proc` is not mounted.
 */
export function pidNamespace(): string | undefined {
  known ??= { id: read() };
  return known.id;
}

function read(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    return /^pid:\[(\d+)\]$/.exec(readlinkSync('/proc/self/ns/pid'))?.[1];
  } catch {
    return undefined;
  }
}
