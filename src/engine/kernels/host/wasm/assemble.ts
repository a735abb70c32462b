/**
 * A small assembler for WebAssembly modules of straight loops over vectors: every module has one memory of its own and exports it with its functions.
 * Instructions are lists of bytes; the names are those of the specification (WebAssembly 2.0, binary format). Nothing is optimised here.
 */
export type Code = readonly number[];

export type ValueType = 'i32' | 'f32' | 'f64' | 'v128';

/** A function with its parameters, further locals (numbered after the parameters) and instructions. No results: they go to memory. */
export interface WasmFunction {
  readonly name: string;
  readonly parameters: readonly ValueType[];
  readonly locals: readonly ValueType[];
  readonly body: readonly Code[];
}

const typeCodes: Readonly<Record<ValueType, number>> = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b };

/** An unsigned integer in LEB128. */
function unsigned(value: number): Code {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128);
  return [...bytes, rest];
}

/** A signed integer in LEB128. */
function signed(value: number): Code {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7) {
    const last = (rest >= 0 && rest < 64) || (rest < 0 && rest >= -64);
    bytes.push(last ? rest & 127 : (rest & 127) | 128);
    if (last) return bytes;
  }
}

const vector = (opcode: number, ...immediates: readonly number[]): Code => [0xfd, ...unsigned(opcode), ...immediates];

/** Bytes of a float32 or int32 in four lanes. */
function lanes(array: Float32Array | Int32Array): Code {
  return [...new Uint8Array(array.buffer)];
}

/** Instructions. Addresses are bytes; loads and stores add a constant offset. */
export const wasm = {
  get: (local: number): Code => [0x20, ...unsigned(local)],
  set: (local: number): Code => [0x21, ...unsigned(local)],
  tee: (local: number): Code => [0x22, ...unsigned(local)],
  i32: (value: number): Code => [0x41, ...signed(value)],
  i32Add: [0x6a] as Code,
  i32Below: [0x49] as Code,
  f32Load: [0x2a, 2, 0] as Code,
  i32Store: (offset: number): Code => [0x36, 2, ...unsigned(offset)],
  promote: [0xbb] as Code,
  /** A loop that runs again while the condition, which the body leaves on the stack, is not 0. */
  loop: (body: readonly Code[]): Code => [0x03, 0x40, ...body.flat(), 0x0d, 0, 0x0b],
  load: (offset: number): Code => vector(0x00, 0, ...unsigned(offset)),
  store: (offset: number): Code => vector(0x0b, 0, ...unsigned(offset)),
  f32x4: (value: number): Code => vector(0x0c, ...lanes(new Float32Array(4).fill(value))),
  i32x4: (value: number): Code => vector(0x0c, ...lanes(new Int32Array(4).fill(value))),
  /** Bytes of two vectors, numbered from 0 to 31. */
  shuffle: (places: readonly number[]): Code => vector(0x0d, ...places),
  f32x4Splat: vector(0x13),
  f64x2Splat: vector(0x14),
  i32x4Lane: (lane: number): Code => vector(0x1b, lane),
  and: vector(0x4e),
  /** The first operand and not the second. */
  andNot: vector(0x4f),
  f64x2PromoteLow: vector(0x5f),
  i8x16NarrowUnsigned: vector(0x66),
  f32x4Nearest: vector(0x6a),
  i16x8Narrow: vector(0x85),
  i32x4ShiftRight: vector(0xac),
  i32x4Max: vector(0xb8),
  f32x4Add: vector(0xe4),
  f32x4Subtract: vector(0xe5),
  f32x4Divide: vector(0xe7),
  /** The second operand where it is smaller (larger), else the first. */
  f32x4PseudoMin: vector(0xea),
  f32x4PseudoMax: vector(0xeb),
  f64x2Add: vector(0xf0),
  f64x2Subtract: vector(0xf1),
  f64x2Multiply: vector(0xf2),
} as const;

const section = (id: number, items: readonly Code[]): Code => {
  const content = [...unsigned(items.length), ...items.flat()];
  return [id, ...unsigned(content.length), ...content];
};

const nameOf = (name: string): Code => [...unsigned(name.length), ...Buffer.from(name, 'ascii')];

/** The bytes of a module with these functions and a memory of one page, `memory`, that may grow. */
function assemble(functions: readonly WasmFunction[]): Uint8Array<ArrayBuffer> {
  const types = functions.map(({ parameters }) => [0x60, ...unsigned(parameters.length), ...parameters.map((type) => typeCodes[type]), 0]);
  const bodies = functions.map(({ locals, body }) => {
    const content = [...unsigned(locals.length), ...locals.flatMap((type) => [1, typeCodes[type]]), ...body.flat(), 0x0b];
    return [...unsigned(content.length), ...content];
  });
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, types),
    ...section(
      3,
      functions.map((_, index) => unsigned(index)),
    ),
    ...section(5, [[0, 1]]),
    ...section(7, [[...nameOf('memory'), 2, 0], ...functions.map(({ name }, index) => [...nameOf(name), 0, ...unsigned(index)])]),
    ...section(10, bodies),
  ]);
}

/** Memory of an instance. Arrays over its buffer end when it grows. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  /** Adds pages of 64 KiB. */
  grow(pages: number): number;
}

/** What is used of WebAssembly's interface, which TypeScript declares for browsers only. */
interface WebAssemblyInterface {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: Readonly<Record<string, unknown>> };
}

/** Compiles functions into an instance with a memory of its own; about a millisecond. */
export function instantiate(functions: readonly WasmFunction[]): {
  readonly memory: WasmMemory;
  readonly functions: Readonly<Record<string, (...values: readonly number[]) => void>>;
} {
  const { Module, Instance } = (globalThis as unknown as { readonly WebAssembly: WebAssemblyInterface }).WebAssembly;
  const { memory, ...exported } = new Instance(new Module(assemble(functions))).exports;
  return { memory: memory as WasmMemory, functions: exported as Record<string, (...values: readonly number[]) => void> };
}
