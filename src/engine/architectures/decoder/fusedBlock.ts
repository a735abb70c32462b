import type { GraphBuilder } from '../../graph/builder';
import { float, int } from '../../graph/builder';
import type { Value } from '../../graph/graph';
import type { DecoderConfig, WeightSource } from '../architecture';
import { blockNames } from './expectedTensors';
import { inverseFrequencies } from './rope';

const microsoft = { domain: 'com.microsoft' };

/** True if ONNX Runtime's GroupQueryAttention supports the model: its rotary kernel requires head sizes that are multiples of 16. */
export function canFuseBlock(config: DecoderConfig): boolean {
  return config.headSize % 16 === 0;
}

/**
 * One decoder block for sequences that start at position 0, with ONNX Runtime's own operators: attention in one kernel that never computes
 * masked scores, and sum and norm in one pass. Same result as `decoderBlock` up to rounding. CPU only, because the CUDA kernel of
 * GroupQueryAttention does not support float32. `hidden` [batch, sequence, hiddenSize]; `sequence` [] int64. Result [batch, sequence,
 * hiddenSize].
 */
export function fusedDecoderBlock(
  build: GraphBuilder,
  config: DecoderConfig,
  weights: WeightSource,
  block: number,
  { hidden, sequence, slidingWindow }: { readonly hidden: Value; readonly sequence: Value; readonly slidingWindow: number | undefined },
): Value {
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

  const total = build.op('Cast', [sequence], { to: int(6) });
  const batch = build.op('Shape', [hidden], { start: int(0), end: int(1) });
  const lengths = build.op('Expand', [build.op('Sub', [total, build.op('Cast', [build.int64(1)], { to: int(6) })]), batch]);
  const positions = build.op('Cast', [build.op('Range', [build.int64(0), sequence, build.int64(1)])], { to: int(1) });
  const angles = build.op('Mul', [build.op('Unsqueeze', [positions, build.int64([1])]), build.float32([...inverseFrequencies(config)])]);
  const [attended] = build.node(
    'GroupQueryAttention',
    [query, key, value, undefined, undefined, lengths, total, build.op('Cos', [angles]), build.op('Sin', [angles])],
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
  return build.op('Add', [middle as Value, down]);
}
