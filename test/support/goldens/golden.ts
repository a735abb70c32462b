import { readFile } from 'node:fs/promises';

/** A tensor of a golden file: row-major numbers; float32 entries are the shortest decimals, to be rounded to float32. */
export interface GoldenTensor {
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly data: readonly number[];
}

type GoldenValue = GoldenTensor | number | readonly number[] | unknown;

/** One golden vector: a published method's result for given inputs. */
export interface Golden {
  readonly method: string;
  readonly case: string;
  readonly tolerance: { readonly abs: number; readonly rel: number };
  readonly params: Readonly<Record<string, unknown>>;
  readonly inputs: Readonly<Record<string, GoldenValue>>;
  readonly outputs: Readonly<Record<string, GoldenValue>>;
}

/** Runs the method that a golden names and compares every output. */
export type GoldenRunner = (golden: Golden, check: GoldenCheck) => Promise<void> | void;

/** Reads a golden file. Throws if it is not a golden. */
export async function readGolden(path: string): Promise<Golden> {
  const golden = JSON.parse(await readFile(path, 'utf8')) as Partial<Golden> | null;
  const { method, tolerance, inputs, outputs, params } = golden ?? {};
  if (typeof method !== 'string' || !isRecord(inputs) || !isRecord(outputs) || !isRecord(params))
    throw new Error('is no golden: method, params, inputs and outputs are needed');
  if (!Number.isFinite(tolerance?.abs) || !Number.isFinite(tolerance?.rel)) throw new Error('is no golden: the tolerance is missing');
  if (Object.keys(outputs).length === 0) throw new Error('is no golden: it has no outputs');
  return golden as Golden;
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

const isTensor = (value: unknown): value is GoldenTensor => isRecord(value) && Array.isArray(value['data']);

/** An input tensor. */
export function inputTensor(golden: Golden, name: string): GoldenTensor {
  return tensorOf(golden.inputs[name], `input ${name}`);
}

/** An input or output tensor as float32. */
export const float32Of = (tensor: GoldenTensor): Float32Array => Float32Array.from(tensor.data);

/** An output tensor, for methods that take part of the result as given. */
export function outputTensor(golden: Golden, name: string): GoldenTensor {
  return tensorOf(golden.outputs[name], `output ${name}`);
}

function tensorOf(value: unknown, what: string): GoldenTensor {
  if (!isTensor(value)) throw new Error(`${what} is no tensor`);
  const count = value.shape.reduce((product, length) => product * length, 1);
  if (count !== value.data.length) throw new Error(`${what} has ${value.data.length} values for shape [${value.shape.join(', ')}]`);
  return value;
}

/** A parameter that must be a number. */
export function numberParam(golden: Golden, name: string): number {
  const value = golden.params[name];
  if (typeof value !== 'number') throw new Error(`parameter ${name} is no number`);
  return value;
}

/** Compares results with a golden and records what differs and what was not compared. */
export class GoldenCheck {
  private readonly problems: string[] = [];
  private readonly seen = new Set<string>();

  constructor(private readonly golden: Golden) {}

  /** Whole numbers must be equal; others |got - want| <= abs + rel |want|. `tolerance` replaces the file's where its notes say so. */
  compare(name: string, got: ArrayLike<number> | number, tolerance = this.golden.tolerance): void {
    this.seen.add(name);
    const stored = this.golden.outputs[name];
    const exact = isTensor(stored) && !stored.dtype.startsWith('float');
    const want = isTensor(stored)
      ? tensorOf(stored, `output ${name}`).data
      : Array.isArray(stored)
        ? (stored as number[])
        : [stored as number];
    const have = typeof got === 'number' ? [got] : got;
    if (have.length !== want.length) {
      this.problems.push(`${name} has ${have.length} values, expected ${want.length}`);
      return;
    }
    for (let index = 0; index < want.length; index += 1) {
      // A float32 entry is the shortest decimal that rounds to it, not its value.
      const expected = isTensor(stored) && stored.dtype === 'float32' ? Math.fround(want[index] as number) : (want[index] as number);
      const value = have[index] as number;
      const allowed = exact ? 0 : tolerance.abs + tolerance.rel * Math.abs(expected);
      // Written so that NaN on either side fails.
      if (Math.abs(value - expected) <= allowed) continue;
      this.problems.push(`${name}[${index}] is ${value}, expected ${expected}`);
      return;
    }
  }

  /** An output that says nothing about the method. */
  leaveOut(name: string): void {
    this.seen.add(name);
  }

  /** All disagreements; outputs that were not compared count as disagreements. */
  finish(): readonly string[] {
    const forgotten = Object.keys(this.golden.outputs).filter((name) => !this.seen.has(name));
    return [...this.problems, ...forgotten.map((name) => `${name} was not compared`)];
  }
}
