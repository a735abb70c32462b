/** Zeros in memory shared by all threads. */
export function sharedFloat32(length: number): Float32Array {
  return new Float32Array(new SharedArrayBuffer(length * 4));
}

/** Zeros in memory shared by all threads. */
export function sharedBytes(length: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(length));
}

/** True if the array is in shared memory: it is passed to a worker without copying, and the worker's writes are visible here. */
export function isShared(array: ArrayBufferView): boolean {
  return array.buffer instanceof SharedArrayBuffer;
}

/**
 * Reusable shared memory. A worker may keep a buffer alive until its next garbage collection, so new buffers for every tensor would
 * accumulate; a job reuses the same few. Sizes are powers of two: pages that are never touched take no memory.
 */
export class SharedScratch {
  private readonly free = new Map<number, SharedArrayBuffer[]>();

  /** A buffer of at least that many bytes, with arbitrary content. */
  take(bytes: number): SharedArrayBuffer {
    const size = 2 ** Math.ceil(Math.log2(Math.max(4096, bytes)));
    return this.free.get(size)?.pop() ?? new SharedArrayBuffer(size);
  }

  /** Returns a buffer once no thread uses it any more. */
  giveBack(buffer: SharedArrayBuffer): void {
    const known = this.free.get(buffer.byteLength);
    if (known === undefined) this.free.set(buffer.byteLength, [buffer]);
    else known.push(buffer);
  }
}
