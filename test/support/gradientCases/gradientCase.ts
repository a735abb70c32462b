import type { AttributeInput } from '../../../src/engine/graph/builder';
import type { ConstantData } from '../../../src/engine/graph/types';
import type { DType } from '../../../src/protocol/dtypes';

/** One input of an operator whose gradient is tested. */
export type GradientInput =
  /** Drawn with a seed, uniform in [low, high] (default -1 to 1); differentiated. `apart`: values at least that far from each other (for order, maxima). */
  | { readonly kind: 'drawn'; readonly shape: readonly number[]; readonly low?: number; readonly high?: number; readonly apart?: number }
  /** Given numbers, fed; not differentiated unless they are float32. */
  | { readonly kind: 'given'; readonly dtype: DType; readonly shape: readonly number[]; readonly values: readonly number[] }
  | { readonly kind: 'constant'; readonly data: ConstantData }
  | undefined;

/** A node whose value and gradients are compared with the float64 interpreter and with the runtime. */
export interface GradientCase {
  readonly op: string;
  readonly domain?: string;
  readonly opset?: number;
  readonly inputs: readonly GradientInput[];
  readonly attributes?: Readonly<Record<string, AttributeInput>>;
  readonly outputs?: number;
  /** The outputs that the differentiated target is made of; default: every float output. */
  readonly targets?: readonly number[];
  /** Outputs that the runtime declares but never writes. */
  readonly unwritten?: readonly number[];
  /** What tells this row from others of the operator, in the test's name. */
  readonly note?: string;
  /** Places where the function has a kink or a jump; drawn values keep 0.02 away from them. */
  readonly kinks?: readonly number[];
}

/** A drawn float32 input. */
export const drawn = (...shape: number[]): GradientInput => ({ kind: 'drawn', shape });
/** A drawn float32 input within limits. */
export const between = (low: number, high: number, ...shape: number[]): GradientInput => ({ kind: 'drawn', shape, low, high });
/** A drawn float32 input without near ties. */
export const distinct = (...shape: number[]): GradientInput => ({ kind: 'drawn', shape, apart: 0.02 });
/** A constant int64 vector, or a scalar. */
export const integers = (values: readonly number[] | number): GradientInput => ({
  kind: 'constant',
  data: {
    kind: 'inline',
    dtype: 'int64',
    shape: typeof values === 'number' ? [] : [values.length],
    bytes: new Uint8Array(BigInt64Array.from((typeof values === 'number' ? [values] : values).map(BigInt)).buffer),
  },
});
/** Given numbers of any type, fed at run time. */
export const given = (dtype: DType, shape: readonly number[], values: readonly number[]): GradientInput => ({
  kind: 'given',
  dtype,
  shape,
  values,
});
