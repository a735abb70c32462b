import { MessageChannel } from 'node:worker_threads';

/**
 * Gives the memory of arrays back before it returns, instead of when the garbage collector gets to it: the state of a training is hundreds of megabytes, and
 * collections come late because JavaScript sees only small objects. Arrays of `kept`, and arrays that share a buffer with one of them, stay; the others have no
 * elements afterwards.
 */
export function releaseArrays(arrays: Iterable<ArrayBufferView>, kept: Iterable<ArrayBufferView>): void {
  const needed = new Set<ArrayBufferLike>();
  for (const { buffer } of kept) needed.add(buffer);
  const unneeded = new Set<ArrayBuffer>();
  for (const { buffer } of arrays)
    if (!needed.has(buffer) && buffer instanceof ArrayBuffer && buffer.byteLength >= smallest) unneeded.add(buffer);
  if (unneeded.size === 0) return;
  // A closed port takes what it is sent and drops it, and that is the end of the buffers. structuredClone would leave a new owner to the garbage collector.
  const { port1 } = new MessageChannel();
  port1.close();
  port1.postMessage(undefined, [...unneeded]);
}

/** Smaller ones are not worth the message. */
const smallest = 1 << 20;
