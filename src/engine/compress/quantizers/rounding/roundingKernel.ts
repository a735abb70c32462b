import { instantiate, wasm, type Code, type WasmFunction, type WasmMemory } from '../../../kernels/host/wasm/assemble';

/** Weights that `round` takes at a time. */
export const weightsAtOnce = 16;

/** Where results are in the kernel's memory, in bytes. */
const rangePlace = 0;
const sumsPlace = 16;
/** Start of the codes of a row. */
const codesPlace = 64;

/**
 * The two inner loops of rounding as vector instructions: four float32 weights at a time, in a memory of its own. The results have exactly the bits of the
 * loops in roundRows.ts, which do what is left over at the end of a stretch: a float32 quotient is the same however it is divided, and the sums of errors are
 * added in the same order, in float64.
 */
export class RoundingKernel {
  /** Weights of some rows: as many as `reserve` was asked for. */
  values = new Float32Array(0);
  /** The same memory as bits. */
  bits = new Int32Array(0);
  /** Codes of one row. */
  codes = new Uint8Array(0);
  /** Sum of squared errors and sum of squared weights: `round` adds to them. */
  sums = new Float64Array(0);
  private found = new Int32Array(0);
  private valuesPlace = 0;

  private constructor(
    private readonly memory: WasmMemory,
    private readonly rangeLoop: (start: number, end: number) => void,
    private readonly roundLoop: (start: number, end: number, codes: number, scale: number, zero: number, top: number) => void,
  ) {}

  static create(): RoundingKernel {
    const { memory, functions } = instantiate([rangeFunction(), roundFunction()]);
    return new RoundingKernel(memory, functions['range']!, functions['round']!);
  }

  /** Makes room for some weights and the codes of one row. Arrays taken from the kernel before are no longer valid. */
  reserve(weights: number, columns: number): void {
    this.valuesPlace = Math.ceil((codesPlace + columns) / 64) * 64;
    const needed = this.valuesPlace + 4 * weights;
    const page = 2 ** 16;
    const missing = Math.ceil((needed - this.memory.buffer.byteLength) / page);
    if (missing > 0) this.memory.grow(missing);
    const { buffer } = this.memory;
    this.values = new Float32Array(buffer, this.valuesPlace, weights);
    this.bits = new Int32Array(buffer, this.valuesPlace, weights);
    this.codes = new Uint8Array(buffer, codesPlace, columns);
    this.sums = new Float64Array(buffer, sumsPlace, 2);
    this.found = new Int32Array(buffer, rangePlace, 2);
  }

  /** Bits of the largest positive weight and of the largest magnitude of a negative one, 0 where there is none; `count` is a multiple of 16, not 0. */
  range(start: number, count: number): Int32Array {
    const from = this.valuesPlace + 4 * start;
    this.rangeLoop(from, from + 4 * count);
    return this.found;
  }

  /** Rounds weights from `start` on into the codes from `column` on; adds to `sums`. `count` is a multiple of 16, not 0. */
  round(start: number, count: number, column: number, scale: number, zero: number, top: number): void {
    const from = this.valuesPlace + 4 * start;
    this.roundLoop(from, from + 4 * count, codesPlace + column, scale, zero, top);
  }
}

let kernel: RoundingKernel | undefined;

/** The kernel of this thread. Its memory is scratch: whoever calls `reserve` next takes it over. */
export function roundingKernel(): RoundingKernel {
  return (kernel ??= RoundingKernel.create());
}

const laneBytes = 16;

/** range(start, end): largest bits of positive weights, and of negative ones without their sign, over all lanes. */
function rangeFunction(): WasmFunction {
  const [start, end, positive, negative, word, magnitude, sign] = [0, 1, 2, 3, 4, 5, 6];
  const one = (offset: number): Code =>
    [
      [...wasm.get(start), ...wasm.load(offset), ...wasm.tee(word), ...wasm.i32x4(0x7fffffff), ...wasm.and, ...wasm.set(magnitude)],
      [...wasm.get(word), ...wasm.i32(31), ...wasm.i32x4ShiftRight, ...wasm.set(sign)],
      [...wasm.get(positive), ...wasm.get(magnitude), ...wasm.get(sign), ...wasm.andNot, ...wasm.i32x4Max, ...wasm.set(positive)],
      [...wasm.get(negative), ...wasm.get(magnitude), ...wasm.get(sign), ...wasm.and, ...wasm.i32x4Max, ...wasm.set(negative)],
    ].flat();
  /** The largest lane of a vector, in all lanes. */
  const largestLane = (local: number): Code =>
    [
      [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7],
      [4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11],
    ].flatMap((places) => [
      ...[...wasm.get(local), ...wasm.get(local), ...wasm.get(local), ...wasm.shuffle(places), ...wasm.i32x4Max, ...wasm.set(local)],
    ]);
  return {
    name: 'range',
    parameters: ['i32', 'i32'],
    locals: ['v128', 'v128', 'v128', 'v128', 'v128'],
    body: [
      wasm.loop([
        ...[0, 1, 2, 3].map((index) => one(index * laneBytes)),
        [...wasm.get(start), ...wasm.i32(4 * laneBytes), ...wasm.i32Add, ...wasm.tee(start), ...wasm.get(end), ...wasm.i32Below],
      ]),
      largestLane(positive),
      largestLane(negative),
      [...wasm.i32(0), ...wasm.get(positive), ...wasm.i32x4Lane(0), ...wasm.i32Store(rangePlace)],
      [...wasm.i32(0), ...wasm.get(negative), ...wasm.i32x4Lane(0), ...wasm.i32Store(rangePlace + 4)],
    ],
  };
}

/** round(start, end, codes, scale, zero, top): code = clamp(round(w / scale) + zero, 0, top), and the sums of (dequantised - w)^2 and w^2. */
function roundFunction(): WasmFunction {
  const [start, end, codes, scale, zero, top] = [0, 1, 2, 3, 4, 5];
  const [scales, zeros, tops, wideScale, sums, weights, level, first, second] = [6, 7, 8, 9, 10, 11, 12, 13, 14];
  const rounded = [15, 16, 17, 18];
  // An integer below 2^23 plus 2^23: the integer is in the low bits.
  const integerShift = 2 ** 23;
  const highHalf = [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15];
  const firstLanes = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];
  const secondLanes = [8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31];
  const half = (local: number, high: boolean): Code => [
    ...wasm.get(local),
    ...(high ? [...wasm.get(local), ...wasm.shuffle(highHalf)] : []),
    ...wasm.f64x2PromoteLow,
  ];
  /** Adds the errors and weights of two lanes to the sums, one lane after the other. */
  const addErrors = (high: boolean): Code =>
    [
      [...half(level, high), ...wasm.get(wideScale), ...wasm.f64x2Multiply, ...half(weights, high), ...wasm.tee(second)],
      [...wasm.f64x2Subtract, ...wasm.tee(first), ...wasm.get(first), ...wasm.f64x2Multiply, ...wasm.set(first)],
      [...wasm.get(second), ...wasm.get(second), ...wasm.f64x2Multiply, ...wasm.set(second)],
      ...[firstLanes, secondLanes].map((places) => [
        ...[...wasm.get(sums), ...wasm.get(first), ...wasm.get(second), ...wasm.shuffle(places), ...wasm.f64x2Add, ...wasm.set(sums)],
      ]),
    ].flat();
  const one = (index: number): Code =>
    [
      [...wasm.get(start), ...wasm.load(index * laneBytes), ...wasm.tee(weights), ...wasm.get(scales), ...wasm.f32x4Divide],
      [...wasm.f32x4Nearest, ...wasm.get(zeros), ...wasm.f32x4Add, ...wasm.f32x4(0), ...wasm.f32x4PseudoMax],
      [...wasm.get(tops), ...wasm.f32x4PseudoMin, ...wasm.tee(level)],
      [...wasm.f32x4(integerShift), ...wasm.f32x4Add, ...wasm.i32x4(255), ...wasm.and, ...wasm.set(rounded[index] as number)],
      [...wasm.get(level), ...wasm.get(zeros), ...wasm.f32x4Subtract, ...wasm.set(level)],
      addErrors(false),
      addErrors(true),
    ].flat();
  const splat = (from: number, to: number): Code => [...wasm.get(from), ...wasm.f32x4Splat, ...wasm.set(to)];
  return {
    name: 'round',
    parameters: ['i32', 'i32', 'i32', 'f32', 'f32', 'f32'],
    locals: Array.from({ length: 13 }, () => 'v128' as const),
    body: [
      splat(scale, scales),
      splat(zero, zeros),
      splat(top, tops),
      [...wasm.get(scale), ...wasm.promote, ...wasm.f64x2Splat, ...wasm.set(wideScale)],
      [...wasm.i32(0), ...wasm.load(sumsPlace), ...wasm.set(sums)],
      wasm.loop([
        ...rounded.map((_, index) => one(index)),
        wasm.get(codes),
        [...wasm.get(rounded[0] as number), ...wasm.get(rounded[1] as number), ...wasm.i16x8Narrow],
        [...wasm.get(rounded[2] as number), ...wasm.get(rounded[3] as number), ...wasm.i16x8Narrow],
        [...wasm.i8x16NarrowUnsigned, ...wasm.store(0)],
        [...wasm.get(codes), ...wasm.i32(laneBytes), ...wasm.i32Add, ...wasm.set(codes)],
        [...wasm.get(start), ...wasm.i32(4 * laneBytes), ...wasm.i32Add, ...wasm.tee(start), ...wasm.get(end), ...wasm.i32Below],
      ]),
      [...wasm.i32(0), ...wasm.get(sums), ...wasm.store(sumsPlace)],
    ],
  };
}
