import { instantiate, wasm, type Code, type WasmFunction, type WasmMemory } from '../../../kernels/host/wasm/assemble';

/** Weights that `round` takes at a time. */
export const weightsAtOnce = 16;

/** Place of the sums in the kernel's memory, in bytes. */
const sumsPlace = 0;
/** Places are multiples of this. */
const alignment = 64;

/**
 * The two inner loops of rounding as vector instructions: four float32 weights at a time, in a memory of its own, for one or several groups of a row. The results have
 * exactly the bits of the loops in roundRows.ts, which do what is left over at the end of a group: a float32 quotient is the same however it is divided, and the sums
 * of errors are added in the same order, in float64.
 */
export class RoundingKernel {
  /** Weights of some rows: as many as `reserve` was asked for. */
  values = new Float32Array(0);
  /** The same memory as bits. */
  bits = new Int32Array(0);
  /** Codes of one row. */
  codes = new Uint8Array(0);
  /** Per group: largest positive weight, largest magnitude of a negative one; 0 if there is none. */
  ranges = new Float32Array(0);
  /** The same memory as bits. */
  rangeBits = new Int32Array(0);
  /** Per group: scale and zero point with which `round` works. */
  scales = new Float32Array(0);
  zeros = new Float32Array(0);
  /** Sum of squared errors and sum of squared weights: `round` adds to them. */
  sums = new Float64Array(0);

  private constructor(
    private readonly memory: WasmMemory,
    private readonly rangeLoop: (start: number, groupBytes: number, ranges: number, rangesEnd: number) => void,
    private readonly roundLoop: (
      start: number,
      groupBytes: number,
      codes: number,
      scales: number,
      scalesEnd: number,
      zeros: number,
      top: number,
    ) => void,
  ) {}

  static create(): RoundingKernel {
    const { memory, functions } = instantiate([rangeFunction(), roundFunction()]);
    return new RoundingKernel(memory, functions['range']!, functions['round']!);
  }

  /** Makes room for some weights and for one row. Arrays taken from the kernel before are no longer valid. */
  reserve(weights: number, columns: number, groups: number): void {
    let end = sumsPlace + alignment;
    const place = (bytes: number): number => {
      const start = end;
      end = Math.ceil((start + bytes) / alignment) * alignment;
      return start;
    };
    const [ranges, scales, zeros, codes, values] = [
      place(8 * groups),
      place(4 * groups),
      place(4 * groups),
      place(columns),
      place(4 * weights),
    ];
    const missing = Math.ceil((end - this.memory.buffer.byteLength) / 2 ** 16);
    if (missing > 0) this.memory.grow(missing);
    const { buffer } = this.memory;
    this.values = new Float32Array(buffer, values, weights);
    this.bits = new Int32Array(buffer, values, weights);
    this.codes = new Uint8Array(buffer, codes, columns);
    this.ranges = new Float32Array(buffer, ranges, 2 * groups);
    this.rangeBits = new Int32Array(buffer, ranges, 2 * groups);
    this.scales = new Float32Array(buffer, scales, groups);
    this.zeros = new Float32Array(buffer, zeros, groups);
    this.sums = new Float64Array(buffer, sumsPlace, 2);
  }

  /** Puts the ranges of `groups` groups, of `count` weights each, from weight `start` on into `ranges`. `count`: a multiple of 16, not 0. */
  range(start: number, count: number, groups: number): void {
    const { byteOffset } = this.ranges;
    this.rangeLoop(this.values.byteOffset + 4 * start, 4 * count, byteOffset, byteOffset + 8 * groups);
  }

  /** Rounds `groups` groups, of `count` weights each, from weight `start` on into the codes from `column` on; adds to `sums`. `count`: as for `range`. */
  round(start: number, count: number, groups: number, column: number, top: number): void {
    const { values, codes, scales, zeros } = this;
    const end = scales.byteOffset + 4 * groups;
    this.roundLoop(values.byteOffset + 4 * start, 4 * count, codes.byteOffset + column, scales.byteOffset, end, zeros.byteOffset, top);
  }
}

let kernel: RoundingKernel | undefined;

/** The kernel of this thread. Its memory is scratch: whoever calls `reserve` next takes it over. */
export function roundingKernel(): RoundingKernel {
  return (kernel ??= RoundingKernel.create());
}

const laneBytes = 16;

/** Adds a number to a local that holds an address. */
function advance(local: number, bytes: number): Code {
  return [...wasm.get(local), ...wasm.i32(bytes), ...wasm.i32Add, ...wasm.set(local)];
}

/** Leaves 1 on the stack while the first address is below the second, for `wasm.loop`. */
function below(local: number, end: number): Code {
  return [...wasm.get(local), ...wasm.get(end), ...wasm.i32Below];
}

/** range(start, groupBytes, ranges, rangesEnd): per group the largest bits of positive weights, and of negative ones without their sign. */
function rangeFunction(): WasmFunction {
  const [start, groupBytes, ranges, rangesEnd, end, positive, negative, word, magnitude, sign] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  const one = (offset: number): Code =>
    [
      [...wasm.get(start), ...wasm.load(offset), ...wasm.tee(word), ...wasm.i32x4(0x7fffffff), ...wasm.and, ...wasm.set(magnitude)],
      [...wasm.get(word), ...wasm.i32(31), ...wasm.i32x4ShiftRight, ...wasm.set(sign)],
      [...wasm.get(positive), ...wasm.get(magnitude), ...wasm.get(sign), ...wasm.andNot, ...wasm.i32x4Max, ...wasm.set(positive)],
      [...wasm.get(negative), ...wasm.get(magnitude), ...wasm.get(sign), ...wasm.and, ...wasm.i32x4Max, ...wasm.set(negative)],
    ].flat();
  /** Stores the largest lane of a vector. */
  const storeLargest = (local: number, offset: number): Code => [
    ...[
      [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7],
      [4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11],
    ].flatMap((places) => [
      ...[...wasm.get(local), ...wasm.get(local), ...wasm.get(local), ...wasm.shuffle(places), ...wasm.i32x4Max, ...wasm.set(local)],
    ]),
    ...[...wasm.get(ranges), ...wasm.get(local), ...wasm.i32x4Lane(0), ...wasm.i32Store(offset)],
  ];
  return {
    name: 'range',
    parameters: ['i32', 'i32', 'i32', 'i32'],
    locals: ['i32', 'v128', 'v128', 'v128', 'v128', 'v128'],
    body: [
      wasm.loop([
        [...wasm.i32x4(0), ...wasm.tee(positive), ...wasm.set(negative)],
        [...wasm.get(start), ...wasm.get(groupBytes), ...wasm.i32Add, ...wasm.set(end)],
        wasm.loop([...[0, 1, 2, 3].map((index) => one(index * laneBytes)), advance(start, 4 * laneBytes), below(start, end)]),
        storeLargest(positive, 0),
        storeLargest(negative, 4),
        advance(ranges, 8),
        below(ranges, rangesEnd),
      ]),
    ],
  };
}

/**
 * round(start, groupBytes, codes, scales, scalesEnd, zeros, top): code = clamp(round(w / scale) + zero, 0, top), and the sums of (dequantised - w)^2 and w^2 over all
 * groups.
 */
function roundFunction(): WasmFunction {
  const [start, groupBytes, codes, scales, scalesEnd, zeros, top] = [0, 1, 2, 3, 4, 5, 6];
  const [end, scale, zero, tops, wideScale, sums, weights, level, first, second] = [7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
  const rounded = [17, 18, 19, 20];
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
      [...wasm.get(start), ...wasm.load(index * laneBytes), ...wasm.tee(weights), ...wasm.get(scale), ...wasm.f32x4Divide],
      [...wasm.f32x4Nearest, ...wasm.get(zero), ...wasm.f32x4Add, ...wasm.f32x4(0), ...wasm.f32x4PseudoMax],
      [...wasm.get(tops), ...wasm.f32x4PseudoMin, ...wasm.tee(level)],
      [...wasm.f32x4(integerShift), ...wasm.f32x4Add, ...wasm.i32x4(255), ...wasm.and, ...wasm.set(rounded[index] as number)],
      [...wasm.get(level), ...wasm.get(zero), ...wasm.f32x4Subtract, ...wasm.set(level)],
      addErrors(false),
      addErrors(true),
    ].flat();
  return {
    name: 'round',
    parameters: ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'f32'],
    locals: ['i32', ...Array.from({ length: 13 }, () => 'v128' as const)],
    body: [
      [...wasm.get(top), ...wasm.f32x4Splat, ...wasm.set(tops)],
      [...wasm.i32(0), ...wasm.load(sumsPlace), ...wasm.set(sums)],
      wasm.loop([
        [...wasm.get(scales), ...wasm.f32Load, ...wasm.f32x4Splat, ...wasm.set(scale)],
        [...wasm.get(zeros), ...wasm.f32Load, ...wasm.f32x4Splat, ...wasm.set(zero)],
        [...wasm.get(scales), ...wasm.f32Load, ...wasm.promote, ...wasm.f64x2Splat, ...wasm.set(wideScale)],
        [...wasm.get(start), ...wasm.get(groupBytes), ...wasm.i32Add, ...wasm.set(end)],
        wasm.loop([
          ...rounded.map((_, index) => one(index)),
          wasm.get(codes),
          [...wasm.get(rounded[0] as number), ...wasm.get(rounded[1] as number), ...wasm.i16x8Narrow],
          [...wasm.get(rounded[2] as number), ...wasm.get(rounded[3] as number), ...wasm.i16x8Narrow],
          [...wasm.i8x16NarrowUnsigned, ...wasm.store(0)],
          advance(codes, laneBytes),
          advance(start, 4 * laneBytes),
          below(start, end),
        ]),
        advance(zeros, 4),
        advance(scales, 4),
        below(scales, scalesEnd),
      ]),
      [...wasm.i32(0), ...wasm.get(sums), ...wasm.store(sumsPlace)],
    ],
  };
}
