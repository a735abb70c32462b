/**
 * Gives the memory of arrays back at once instead of when the garbage collector gets to it: the state before a run is as large as the state after it, and
 * collections come late because JavaScript sees only small objects. Arrays of `kept`, and arrays that share a buffer with one of them, stay; the others have no
 * elements afterwards.
 */
export function releaseArrays(arrays: Iterable<Float32Array>, kept: Iterable<Float32Array>): void {
  const needed = new Set<ArrayBufferLike>();
  for (const { buffer } of kept) needed.add(buffer);
  for (const { buffer } of arrays) {
    if (needed.has(buffer) || !(buffer instanceof ArrayBuffer) || buffer.byteLength < smallest) continue;
    // A buffer that is moved to nobody is freed with the message that carries it.
    structuredClone(undefined, { transfer: [buffer] });
    needed.add(buffer);
  }
}

/** Smaller ones are not worth the message. */
const smallest = 1 << 20;
