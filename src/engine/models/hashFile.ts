import { createHash } from 'node:crypto';
import { closeSync, createReadStream, openSync, readSync } from 'node:fs';
import { throwIfCancelled } from '../../protocol/errors';
import { defineHostTask } from '../kernels/host/threads/hostTask';
import type { HostThreads } from '../kernels/host/threads/hostThreads';

/** Bytes read at a time. */
const chunkBytes = 4 << 20;

/** SHA-256 of a file, read on a worker thread. */
export const hashFileTask = defineHostTask({
  name: 'hash-file',
  run: (path: string): string => {
    const hash = createHash('sha256');
    const chunk = new Uint8Array(chunkBytes);
    const file = openSync(path, 'r');
    try {
      for (let read = readSync(file, chunk); read > 0; read = readSync(file, chunk)) hash.update(chunk.subarray(0, read));
    } finally {
      closeSync(file);
    }
    return hash.digest('hex');
  },
});

/** SHA-256 of files, in hexadecimal, in their order: on other threads where there are some, else on this one without blocking it for long. */
export async function hashFiles(
  paths: readonly string[],
  threads: HostThreads | undefined,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  if (threads?.parallel) return threads.run(hashFileTask, paths, signal);
  const digests: string[] = [];
  for (const path of paths) digests.push(await hashHere(path, signal));
  return digests;
}

async function hashHere(path: string, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes })) {
    throwIfCancelled(signal);
    hash.update(chunk as Buffer);
  }
  return hash.digest('hex');
}
