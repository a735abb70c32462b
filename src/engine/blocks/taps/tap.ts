import type { GraphBuilder } from '../../graph/builder';
import type { Value } from '../../graph/graph';

/** A statistic of what enters a linear layer. To add one: a file like moments.ts and a line in index.ts. */
export interface TapKind {
  readonly id: string;
  readonly summary: string;
  /** Shape of the statistic for inputs of that many columns. */
  shape(columns: number): readonly number[];
  /** Adds to a graph what the statistic sums over tokens: rows [tokens, columns] -> a value of `shape(columns)`, float32. */
  sum(build: GraphBuilder, rows: Value): Value;
  /** The statistic from the sum over all tokens; may change `sum` and give it back. */
  finish(sum: Float64Array, tokens: number): Float64Array;
}

/** What is gathered at which linear layers. Layers that share their input share the computation and the result. */
export interface Tap {
  /** Id of a kind. */
  readonly kind: string;
  /** Names of weights, of any block. Absent: every linear layer. */
  readonly tensors?: ReadonlySet<string>;
}

/** One statistic of one layer's input. Layers with the same input hold the same object: read it, do not change it. */
export interface Statistic {
  readonly shape: readonly number[];
  readonly tokens: number;
  /** Windows in which the tokens came: published methods average over sequences. */
  readonly windows: number;
  readonly values: Float64Array;
}

/** What the taps of one run gathered: statistics by the name of the weight, then by the id of the kind. */
export type Statistics = ReadonlyMap<string, ReadonlyMap<string, Statistic>>;
