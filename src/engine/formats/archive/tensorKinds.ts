import type { DType } from '../../../protocol/dtypes';

/**
 * A matrix with a scale and a zero point per group along its rows: weight = (code - zero point) * scale. Rows are the first axis of
 * `shape`, columns all others. `groupBits` [rows * groups]: widths of the groups if they differ, 0 for pruned ones, which store no code,
 * scale or zero point; `bits` is then the largest. Symmetric matrices store no zero points: they are 2^(width - 1).
 */
export interface GroupedTensor {
  readonly name: string;
  /** Canonical shape: [out, in, ...]. */
  readonly shape: readonly number[];
  readonly transposed: boolean;
  readonly bits: number;
  readonly groupSize: number;
  /** `tensor`: all groups share one scale and zero point, stored once. */
  readonly granularity: 'group' | 'row' | 'tensor';
  readonly symmetric: boolean;
  readonly scaleDType: 'float16' | 'float32';
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
  readonly zeroPoints: Uint8Array;
  readonly groupBits?: Uint8Array;
}

/** Position of a tensor's bytes: [offset from the start of the file, length]. */
export type DataRange = readonly [offset: number, length: number];

interface SharedFields {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: DataRange;
}

/** A tensor with learned widths, as described by the header. Minimum, maximum, table of widths and levels are in the data. */
export interface LearnedFields extends SharedFields {
  readonly kind: 'learned';
  readonly transposed: boolean;
  readonly groupSize: number;
  /** Number of groups of each width that occurs, in ascending order of width. */
  readonly groups: readonly (readonly [bits: number, groups: number])[];
}

export interface GroupedFields extends SharedFields {
  readonly kind: 'grouped';
  readonly transposed: boolean;
  readonly bits: number;
  readonly groupSize: number;
  readonly granularity: 'group' | 'row' | 'tensor';
  readonly symmetric: boolean;
  readonly scales: 'float16' | 'float32';
  /** Present only if widths differ. */
  readonly groups?: readonly (readonly [bits: number, groups: number])[];
}

/** Unchanged bytes. */
export interface PlainFields extends SharedFields {
  readonly kind: 'plain';
  readonly dtype: DType;
}

export type ArchiveFields = LearnedFields | GroupedFields | PlainFields;

/** Rows and columns of a canonical shape: the first axis and all others. */
export function matrixOf(shape: readonly number[]): { readonly rows: number; readonly columns: number } {
  const [rows = 1, ...others] = shape;
  return { rows, columns: others.reduce((product, length) => product * length, 1) };
}
