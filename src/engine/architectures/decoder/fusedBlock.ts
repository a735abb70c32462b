import type { GraphBuilder } from '../../graph/builder';
import { float, int } from '../../graph/builder';
import type { Value } from '../../graph/graph';
import type { DecoderConfig, WeightSource } from '../architecture';
import type { BlockCache, BlockOutputs } from './decoderBlock';
import { blockNames } from './expectedTensors';
import { inverseFrequencies } from './rope';

const microsoft = { domain: 'com.microsoft' };

/** True if ONNX Runtime's GroupQueryAttention supports the model: its rotary kernel requires head sizes that are multiples of 16. */
export function canFuseBlock(config: DecoderConfig): boolean {
  return config.headSize % 16 === 0;
}

/** Where the tokens of a run are, shared by all blocks. */
export interface FusedPositions {
  /** Position of the last token of each sequence, [batch] int32. */
  readonly last: Value;
  /** Tokens including the past, [] int32. */
  readonly total: Value;
  /** Cosines and sines of at least `total` positions, [positions, headSize / 2] float32 each. */
  readonly cosine: Value;
  readonly sine: Value;
}

/** Cosines and sines of positions 0 to `count` - 1; `count` [] int64. */
export function rotaryTables(build: GraphBuilder, config: DecoderConfig, count: Value): Pick<FusedPositions, 'cosine' | 'sine'> {
  const positions = build.op('Cast', [build.op('Range', [build.int64(0), count, build.int64(1)])], { to: int(1) });
  const angles = build.op('Mul', [build.op('Unsqueeze', [positions, build.int64([1])]), build.float32([...inverseFrequencies(config)])]);
  return { cosine: build.op('Cos', [angles]), sine: build.op('Sin', [angles]) };
}

/** Lengths as GroupQueryAttention takes them: `total` [] int64 is the same for every sequence; the first axis of `batched` is the batch. */
export function fusedLengths(build: GraphBuilder, total: Value, batched: Value): Pick<FusedPositions, 'last' | 'total'> {
  const tokens = build.op('Cast', [total], { to: int(6) });
  const batch = build.op('Shape', [batched], { start: int(0), end: int(1) });
  const last = build.op('Expand', [build.op('Sub', [tokens, build.op('Cast', [build.int64(1)], { to: int(6) })]), batch]);
  return { last, total: tokens };
}

/** Inputs of a fused block besides its weights. */
export interface FusedBlockInputs {
  /** [batch, sequence, hiddenSize]. */
  readonly hidden: Value;
  readonly positions: FusedPositions;
  readonly slidingWindow: number | undefined;
  /** Keys and values before this run; absent if the sequences start at position 0. */
  readonly past?: BlockCache;
}

/**
 * One decoder block with ONNX Runtime's own operators: attention in one kernel that never computes masked scores, and sum and norm in one pass. Same result as
 * `decoderBlock` up to rounding. With a past, the run either starts at position 0 (a past of length 0) or has one token. CPU only, because the CUDA kernel of
 * GroupQueryAttention does not support float32.
 */
export function fusedDecoderBlock(
  build: GraphBuilder,
  config: DecoderConfig,
  weights: WeightSource,
  block: number,
  { hidden, positions, slidingWindow, past }: FusedBlockInputs,
): BlockOutputs {
  const { hiddenSize, intermediateSize, heads, keyValueHeads, headSize, biases } = config;
  const names = blockNames(block);
  const linear = (name: string, x: Value, out: number, columns: number, bias: boolean) =>
    weights.linear(build, `${name}.weight`, x, { out, in: columns }, bias ? `${name}.bias` : undefined);
  const epsilon = float(config.normEpsilon);
  const normed = build.op('SimplifiedLayerNormalization', [hidden, weights.vector(build, names.inputNorm, hiddenSize)], {
    axis: int(-1),
    epsilon,
    stash_type: int(1),
  });
  const query = linear(names.query, normed, heads * headSize, hiddenSize, biases.queryKeyValue);
  const key = linear(names.key, normed, keyValueHeads * headSize, hiddenSize, biases.queryKeyValue);
  const value = linear(names.value, normed, keyValueHeads * headSize, hiddenSize, biases.queryKeyValue);
  const [attended, presentKey, presentValue] = build.node(
    'GroupQueryAttention',
    [query, key, value, past?.key, past?.value, positions.last, positions.total, positions.cosine, positions.sine],
    {
      num_heads: int(heads),
      kv_num_heads: int(keyValueHeads),
      scale: float(headSize ** -0.5),
      do_rotary: int(1),
      ...(slidingWindow === undefined ? {} : { local_window_size: int(slidingWindow) }),
    },
    { ...microsoft, outputs: 3 },
  );
  const output = linear(names.output, attended as Value, hiddenSize, heads * headSize, biases.output);
  const [normedMiddle, , , middle] = build.node(
    'SkipSimplifiedLayerNormalization',
    [hidden, output, weights.vector(build, names.postNorm, hiddenSize)],
    { epsilon },
    { ...microsoft, outputs: 4 },
  );
  const gate = linear(names.gate, normedMiddle as Value, intermediateSize, hiddenSize, biases.mlp);
  const up = linear(names.up, normedMiddle as Value, intermediateSize, hiddenSize, biases.mlp);
  // With alpha 1, QuickGelu is x * sigmoid(x).
  const activated = build.op('QuickGelu', [gate], { alpha: float(1) }, microsoft);
  const down = linear(names.down, build.op('Mul', [activated, up]), hiddenSize, intermediateSize, biases.mlp);
  return { hidden: build.op('Add', [middle as Value, down]), key: presentKey as Value, value: presentValue as Value };
}
