/** Zeros in memory that all threads see. */
export function sharedFloat32(length: number): Float32Array {
  return new Float32Array(new SharedArrayBuffer(length * 4));
}

/** Zeros in memory that all threads see. */
export function sharedBytes(length: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(length));
}

/** True where every thread sees the array's memory: it goes to a worker without being copied, and what the worker writes is seen here. */
export function isShared(array: ArrayBufferView): boolean {
  return array.buffer instanceof SharedArrayBuffer;
}

/**
 * Shared memory lent again and again. A worker may hold on to a buffer that it was sent until its next garbage collection, so a fresh buffer for
 * every tensor would pile up; these are the same few for a whole job. Sizes are powers of two: what is never touched takes no memory.
 */
export class SharedScratch {
  private readonly free = new Map<number, SharedArrayBuffer[]>();

  /** A buffer of at least that many bytes, with any content. */
  take(bytes: number): SharedArrayBuffer {
    const size = 2 ** Math.ceil(Math.log2(Math.max(4096, bytes)));
    return this.free.get(size)?.pop() ?? new SharedArrayBuffer(size);
  }

  /** Takes a buffer back once no thread works on it any more. */
  giveBack(buffer: SharedArrayBuffer): void {
    const known = this.free.get(buffer.byteLength);
    if (known === undefined) this.free.set(buffer.byteLength, [buffer]);
    else known.push(buffer);
  }
}
