/**
 * A fast seeded generator for noise (sfc32 of the PractRand suite: a counter and three words, period at least 2^32, about 2^127 on average). Streams of
 * different seed words are independent for all that tests have shown. Never for secrets.
 */
export class PoolRandom {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  /** Three words that tell streams apart: seed, number of the refill or step, and what it is for. */
  constructor(first: number, second: number, third: number) {
    this.a = first | 0;
    this.b = second | 0;
    this.c = third | 0;
    for (let round = 0; round < 15; round += 1) this.nextUint32();
  }

  /** The next 32 random bits, unsigned. */
  nextUint32(): number {
    const sum = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** A whole number in [0, limit), limit at most 2^32: the high part of a product, off by at most limit / 2^32. */
  nextBelow(limit: number): number {
    return Math.floor((this.nextUint32() / 2 ** 32) * limit);
  }

  /** Fills with values uniform in [-0.5, 0.5), in steps of 2^-24. */
  fillUniform(target: Float32Array): void {
    this.fillWords(target, (word) => (word >>> 8) / 2 ** 24 - 0.5);
  }

  /**
   * Fills with normal values of mean 0 and standard deviation 1: each takes 16 random bits and looks up the middle of one of 65,536 equally likely
   * stretches of the normal distribution (largest magnitude 4.3), scaled so that the variance is 1.
   */
  fillGaussian(target: Float32Array): void {
    const table = gaussianTable();
    const whole = target.length & ~1;
    // The state lives in local numbers: much faster than through the object.
    let { a, b, c, counter } = this;
    for (let index = 0; index < whole; index += 2) {
      const sum = (((a + b) | 0) + counter) | 0;
      counter = (counter + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (((c << 21) | (c >>> 11)) + sum) | 0;
      target[index] = table[sum & 0xffff] as number;
      target[index + 1] = table[sum >>> 16] as number;
    }
    Object.assign(this, { a, b, c, counter });
    if (whole < target.length) target[whole] = table[this.nextUint32() >>> 16] as number;
  }

  private fillWords(target: Float32Array, value: (word: number) => number): void {
    let { a, b, c, counter } = this;
    for (let index = 0; index < target.length; index += 1) {
      const sum = (((a + b) | 0) + counter) | 0;
      counter = (counter + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (((c << 21) | (c >>> 11)) + sum) | 0;
      target[index] = value(sum);
    }
    Object.assign(this, { a, b, c, counter });
  }
}

let table: Float32Array | undefined;

/** Middles of 65,536 equally likely stretches, by bisection of the distribution function over a fine grid; made at first use. */
function gaussianTable(): Float32Array {
  if (table) return table;
  const size = 1 << 16;
  const values = new Float64Array(size);
  for (let index = size / 2; index < size; index += 1) {
    values[index] = normalQuantile((index + 0.5) / size);
    values[size - 1 - index] = -(values[index] as number);
  }
  let squares = 0;
  for (const value of values) squares += value * value;
  const scale = 1 / Math.sqrt(squares / size);
  table = Float32Array.from(values, (value) => value * scale);
  return table;
}

/** x with normal distribution function p, for p of at least 1/2: Newton's method from a starting value by the tail's logarithm. */
function normalQuantile(p: number): number {
  let x = p < 0.9 ? (p - 0.5) * 2.5 : Math.sqrt(-2 * Math.log(1 - p)) - 0.6;
  for (let round = 0; round < 50; round += 1) {
    const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
    const step = (normalDistribution(x) - p) / density;
    x -= Math.max(-0.5, Math.min(0.5, step));
    if (Math.abs(step) < 1e-13) break;
  }
  return x;
}

/** Normal distribution function for x of at least 0: the series x + x^3/3 + x^5/15 + ... times the density, plus 1/2. */
function normalDistribution(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 3; term > sum * 1e-17; n += 2) {
    term *= (x * x) / n;
    sum += term;
  }
  return 0.5 + (sum * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI);
}
