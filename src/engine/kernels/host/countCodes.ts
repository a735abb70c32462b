/** Codes counted before the 32-bit counters are emptied into 64-bit ones. */
const mostCounted = 2 ** 31;

/**
 * Counts how often each code of 8 bits, or of 16 bits little-endian, occurs in a stream of bytes. Neighbouring weights often share a
 * code, and a counter that was just written must be stored before it is read again; so two tables take turns, and two 16-bit
 * codes come with each 32-bit load. Tables live as long as the counter: clearing them for every piece costs 5 %.
 * (Measured by test/benchmarks/statistics.ts.)
 */
export class CodeCounter {
  private readonly even: Uint32Array;
  private readonly odd: Uint32Array;
  private readonly totals: Float64Array;
  private counted = 0;

  /** `codes`: 256 or 65,536. */
  constructor(private readonly codes: 256 | 65536) {
    this.even = new Uint32Array(codes);
    this.odd = new Uint32Array(codes);
    this.totals = new Float64Array(codes);
  }

  /** Adds a piece; for 16-bit codes it holds whole codes. */
  add(bytes: Uint8Array): void {
    // Counters of 32 bits must not run over; pieces are far below 2^31 bytes.
    if (this.counted + bytes.length > mostCounted) this.flush();
    this.counted += bytes.length;
    if (this.codes === 256) this.addBytes(bytes);
    else this.addWords(bytes);
  }

  /** Occurrences of every code so far. */
  counts(): Float64Array {
    this.flush();
    return this.totals;
  }

  private addWords(bytes: Uint8Array): void {
    const { even, odd } = this;
    const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
    const pairs = new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length >>> 2);
    for (let i = 0; i < pairs.length; i += 1) {
      const pair = pairs[i] as number;
      even[pair & 0xffff]! += 1;
      odd[pair >>> 16]! += 1;
    }
    if (aligned.length % 4 >= 2) {
      const last = aligned.length - (aligned.length % 4);
      even[(aligned[last] as number) | ((aligned[last + 1] as number) << 8)]! += 1;
    }
  }

  private addBytes(bytes: Uint8Array): void {
    const { even, odd } = this;
    const whole = bytes.length - (bytes.length % 2);
    for (let i = 0; i < whole; i += 2) {
      even[bytes[i] as number]! += 1;
      odd[bytes[i + 1] as number]! += 1;
    }
    if (whole < bytes.length) even[bytes[whole] as number]! += 1;
  }

  private flush(): void {
    for (let code = 0; code < this.codes; code += 1) this.totals[code]! += (this.even[code] as number) + (this.odd[code] as number);
    this.even.fill(0);
    this.odd.fill(0);
    this.counted = 0;
  }
}
