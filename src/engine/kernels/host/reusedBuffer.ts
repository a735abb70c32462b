/** Reusable memory: page faults of a new array of this size cost more time than most loops over it. */
export class ReusedBuffer<T extends Uint8Array | Float32Array> {
  private buffer: T | undefined;

  constructor(private readonly make: (length: number) => T) {}

  /** An array of that length with arbitrary content. It is valid until the next call. */
  take(length: number): T {
    if (this.buffer === undefined || this.buffer.length < length) {
      this.buffer = undefined;
      this.buffer = this.make(length);
    }
    return this.buffer.subarray(0, length) as T;
  }
}
