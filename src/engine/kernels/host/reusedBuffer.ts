/** Memory that is lent out again and again: a fresh array of this size costs more time for its pages than most loops over it. */
export class ReusedBuffer<T extends Uint8Array | Float32Array> {
  private buffer: T | undefined;

  constructor(private readonly make: (length: number) => T) {}

  /** An array of that length with any content. It ends with the next call. */
  take(length: number): T {
    if (this.buffer === undefined || this.buffer.length < length) {
      this.buffer = undefined;
      this.buffer = this.make(length);
    }
    return this.buffer.subarray(0, length) as T;
  }
}
