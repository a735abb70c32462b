import { int, type GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';

/** How a token is drawn from logits. What is absent does not limit the choice. */
export interface Sampling {
  /** The most probable token, of equal ones the first; everything else is then without effect. */
  readonly greedy: boolean;
  /** Only the k most probable tokens. */
  readonly topK?: number;
  /** Only the most probable tokens that together reach this probability, at least one. */
  readonly topP?: number;
  /** Divides positive and multiplies negative logits of tokens that are in the sequence already (Keskar et al., "CTRL", 2019, section 4.1). */
  readonly repetitionPenalty?: number;
}

/** Values that drawing needs besides the logits. */
export interface SamplingInputs {
  /** [batch] float32, above 0. */
  readonly temperature: Value;
  /** Uniform in (0, 1], [batch] float32. */
  readonly uniform: Value;
  /** 1 for tokens that are in the sequence, otherwise 0, [batch, vocabulary] float32; only with a repetition penalty. */
  readonly seen?: Value | undefined;
}

/**
 * One token for each row of `logits` [batch, vocabulary] float32: [batch] int64. In the order of transformers: repetition penalty, temperature, top-k, top-p. The draw inverts the cumulative
 * distribution: the first token whose cumulative probability reaches `uniform` times the total. `vocabulary` is the number of columns.
 */
export function drawTokens(build: GraphBuilder, logits: Value, vocabulary: number, sampling: Sampling, inputs: SamplingInputs): Value {
  const { greedy, topK, topP = 1, repetitionPenalty = 1 } = sampling;
  const penalised = repetitionPenalty === 1 || !inputs.seen ? logits : penalise(build, logits, inputs.seen, repetitionPenalty);
  if (greedy) return build.op('ArgMax', [penalised], { axis: int(-1), keepdims: int(0) });
  const scaled = build.op('Div', [penalised, build.op('Unsqueeze', [inputs.temperature, build.int64([1])])]);
  const kept = Math.min(topK ?? vocabulary, vocabulary);
  if (kept === vocabulary && topP >= 1)
    return drawFrom(build, build.op('Softmax', [scaled], { axis: int(-1) }), vocabulary, inputs.uniform);
  const [values, tokens] = build.node(
    'TopK',
    [scaled, build.int64([kept])],
    { axis: int(-1), largest: int(1), sorted: int(1) },
    { outputs: 2 },
  );
  const probabilities = build.op('Softmax', [values], { axis: int(-1) });
  const limited = topP >= 1 ? probabilities : nucleus(build, probabilities, topP);
  const drawn = drawFrom(build, limited, kept, inputs.uniform);
  const place = build.op('Unsqueeze', [drawn, build.int64([1])]);
  return build.op('Squeeze', [build.op('GatherElements', [tokens, place], { axis: int(1) }), build.int64([1])]);
}

function penalise(build: GraphBuilder, logits: Value, seen: Value, penalty: number): Value {
  const zero = build.float32(0);
  const changed = build.op('Where', [
    build.op('Less', [logits, zero]),
    build.op('Mul', [logits, build.float32(penalty)]),
    build.op('Div', [logits, build.float32(penalty)]),
  ]);
  return build.op('Where', [build.op('Greater', [seen, zero]), changed, logits]);
}

/** Descending probabilities with 0 for those before which `topP` is reached already. */
function nucleus(build: GraphBuilder, probabilities: Value, topP: number): Value {
  const before = build.op('CumSum', [probabilities, build.int64(1, [])], { exclusive: int(1) });
  return build.op('Where', [build.op('Less', [before, build.float32(topP)]), probabilities, build.float32(0)]);
}

/**
 * Index of the first column whose cumulative sum reaches `uniform` times the row's sum: [batch] int64 from weights [batch, columns]. Columns of weight 0 are never drawn, because `uniform` is above
 * 0. Sums are made in two levels, within blocks and over them, as products with triangles of ones: faster than CumSum over a long row.
 */
function drawFrom(build: GraphBuilder, weights: Value, columns: number, uniform: Value): Value {
  const size = blockSize(columns);
  const blocks = Math.ceil(columns / size);
  const padded =
    blocks * size === columns ? weights : build.op('Pad', [weights, build.int64([0, 0, 0, blocks * size - columns]), build.float32(0)]);
  const inBlocks = build.op('Reshape', [padded, build.int64([-1, blocks, size])]);
  const within = build.op('MatMul', [inBlocks, triangle(build, size, (row, column) => row <= column)]);
  const lasts = build.op('Slice', [within, build.int64([size - 1]), build.int64([size]), build.int64([2])]);
  const before = build.op('MatMul', [triangle(build, blocks, (row, column) => column < row), lasts]);
  const sums = build.op('Add', [within, before]);
  const total = build.op('Add', [
    build.op('Slice', [lasts, build.int64([blocks - 1]), build.int64([blocks]), build.int64([1])]),
    build.op('Slice', [before, build.int64([blocks - 1]), build.int64([blocks]), build.int64([1])]),
  ]);
  const threshold = build.op('Mul', [total, build.op('Unsqueeze', [uniform, build.int64([1, 2])])]);
  // Counted in float32, which is exact up to 16,777,216.
  const below = build.op('Cast', [build.op('Less', [sums, threshold])], { to: int(1) });
  return build.op('Cast', [build.op('ReduceSum', [below, build.int64([1, 2])], { keepdims: int(0) })], { to: int(7) });
}

/** A divisor of the columns near their root, so that nothing is padded; otherwise the root's neighbour among multiples of 16. */
function blockSize(columns: number): number {
  const root = Math.sqrt(columns);
  for (let size = Math.ceil(root); size <= Math.min(columns, 4 * root); size += 1) if (columns % size === 0) return size;
  return Math.min(columns, 16 * Math.ceil(root / 16));
}

function triangle(build: GraphBuilder, size: number, isOne: (row: number, column: number) => boolean): Value {
  const values = Float32Array.from({ length: size * size }, (_, index) => (isOne(Math.floor(index / size), index % size) ? 1 : 0));
  return build.float32([...values], [size, size]);
}

/** Marks drawn tokens [batch] in `seen` [batch, vocabulary]. */
export function markSeen(build: GraphBuilder, seen: Value, tokens: Value): Value {
  const place = build.op('Unsqueeze', [tokens, build.int64([1])]);
  const ones = build.op('Expand', [build.float32(1), build.op('Shape', [place])]);
  return build.op('ScatterElements', [seen, place, ones], { axis: int(1) });
}

/** Whether tokens [batch] are among some ids: bool [batch]. */
export function isAnyOf(build: GraphBuilder, tokens: Value, ids: readonly number[]): Value {
  const equal = build.op('Equal', [build.op('Unsqueeze', [tokens, build.int64([1])]), build.int64(ids, [1, ids.length])]);
  const any = build.op('ReduceMax', [build.op('Cast', [equal], { to: int(6) }), build.int64([1])], { keepdims: int(0) });
  return build.op('Cast', [any], { to: int(9) });
}
