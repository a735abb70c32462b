/** Number of codes counted before the 32-bit counters are flushed into 64-bit ones. */
const mostCounted = 2 ** 31;

/**
 * Counts how often each 8-bit or little-endian 16-bit code occurs in a stream of bytes. Codes are extracted from 32-bit words, eight words
 * at a time: with all loads before the counting, float16 reaches 2.9 GB/s compared with 1.6 for one word at a time. A second table of
 * counters, which would help if adjacent values are equal, costs more cache than it saves (1.4 and 2.6; for zeros only, 3.1 with one table
 * and 2.9 with two). Measured by test/benchmarks/statistics.ts and variants of it.
 */
export class CodeCounter {
  private readonly table: Uint32Array;
  private readonly totals: Float64Array;
  private counted = 0;

  /** `codes`: 256 or 65,536. */
  constructor(private readonly codes: 256 | 65536) {
    this.table = new Uint32Array(codes);
    this.totals = new Float64Array(codes);
  }

  /** Adds a piece; for 16-bit codes it consists of whole codes. */
  add(bytes: Uint8Array): void {
    // 32-bit counters must not overflow; pieces are far below 2^31 bytes.
    if (this.counted + bytes.length > mostCounted) this.flush();
    this.counted += bytes.length;
    const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
    const words = new Uint32Array(aligned.buffer, aligned.byteOffset, (aligned.length >>> 5) << 3);
    if (this.codes === 256) countBytes(words, this.table);
    else countHalves(words, this.table);
    this.addRest(aligned.subarray(words.byteLength));
  }

  /** Occurrences of every code so far. */
  counts(): Float64Array {
    this.flush();
    return this.totals;
  }

  /** The remainder after whole rounds. */
  private addRest(rest: Uint8Array): void {
    const step = this.codes === 256 ? 1 : 2;
    for (let i = 0; i + step <= rest.length; i += step) {
      const code = step === 1 ? (rest[i] as number) : (rest[i] as number) | ((rest[i + 1] as number) << 8);
      this.table[code]! += 1;
    }
  }

  private flush(): void {
    for (let code = 0; code < this.codes; code += 1) this.totals[code]! += this.table[code] as number;
    this.table.fill(0);
    this.counted = 0;
  }
}

/** Counts both halves of each word; the number of words is a multiple of eight. */
function countHalves(words: Uint32Array, table: Uint32Array): void {
  for (let i = 0; i < words.length; i += 8) {
    const a = words[i] as number;
    const b = words[i + 1] as number;
    const c = words[i + 2] as number;
    const d = words[i + 3] as number;
    const e = words[i + 4] as number;
    const f = words[i + 5] as number;
    const g = words[i + 6] as number;
    const h = words[i + 7] as number;
    table[a & 0xffff]! += 1;
    table[a >>> 16]! += 1;
    table[b & 0xffff]! += 1;
    table[b >>> 16]! += 1;
    table[c & 0xffff]! += 1;
    table[c >>> 16]! += 1;
    table[d & 0xffff]! += 1;
    table[d >>> 16]! += 1;
    table[e & 0xffff]! += 1;
    table[e >>> 16]! += 1;
    table[f & 0xffff]! += 1;
    table[f >>> 16]! += 1;
    table[g & 0xffff]! += 1;
    table[g >>> 16]! += 1;
    table[h & 0xffff]! += 1;
    table[h >>> 16]! += 1;
  }
}

/** Counts the four bytes of each word; the number of words is even. */
function countBytes(words: Uint32Array, table: Uint32Array): void {
  for (let i = 0; i < words.length; i += 2) {
    const a = words[i] as number;
    const b = words[i + 1] as number;
    table[a & 0xff]! += 1;
    table[(a >>> 8) & 0xff]! += 1;
    table[(a >>> 16) & 0xff]! += 1;
    table[a >>> 24]! += 1;
    table[b & 0xff]! += 1;
    table[(b >>> 8) & 0xff]! += 1;
    table[(b >>> 16) & 0xff]! += 1;
    table[b >>> 24]! += 1;
  }
}
