import { float, int } from '../../../src/engine/graph/builder';
import { drawn, given, type GradientCase, type GradientInput } from './gradientCase';

const ms = 'com.microsoft';

/** Tables of cosines and sines [positions, pairs]: constants, because they are not learned. */
function tables(positions: number, pairs: number): readonly [GradientInput, GradientInput] {
  const angles = Array.from({ length: positions * pairs }, (_, at) => Math.floor(at / pairs) * 10 ** -((at % pairs) / pairs));
  const table = (values: readonly number[]): GradientInput => ({
    kind: 'constant',
    data: { kind: 'inline', dtype: 'float32', shape: [positions, pairs], bytes: new Uint8Array(Float32Array.from(values).buffer) },
  });
  return [table(angles.map(Math.cos)), table(angles.map(Math.sin))];
}

const [cosine, sine] = tables(8, 4);
const [shortCosine, shortSine] = tables(8, 2);
// ONNX Runtime's rotary GroupQueryAttention takes heads of 16 and its multiples only.
const [longCosine, longSine] = tables(8, 8);
const positions = given('int64', [2, 3], [0, 1, 2, 4, 5, 6]);

/** Attention and rotary positions. */
export const attentionCases: readonly GradientCase[] = [
  { op: 'RotaryEmbedding', opset: 23, inputs: [drawn(2, 4, 3, 8), cosine, sine, positions] },
  { op: 'RotaryEmbedding', opset: 23, inputs: [drawn(2, 3, 16), cosine, sine, positions], attributes: { num_heads: int(2) } },
  {
    op: 'RotaryEmbedding',
    opset: 23,
    inputs: [drawn(2, 2, 3, 8), shortCosine, shortSine, positions],
    attributes: { rotary_embedding_dim: int(4), interleaved: int(1) },
    note: 'half of each head, in neighbours',
  },
  { op: 'RotaryEmbedding', domain: ms, inputs: [drawn(2, 4, 3, 8), positions, cosine, sine] },
  { op: 'RotaryEmbedding', domain: ms, inputs: [drawn(2, 4, 3, 8), positions, cosine, sine], attributes: { interleaved: int(1) } },
  { op: 'Attention', opset: 23, inputs: [drawn(2, 2, 3, 4), drawn(2, 2, 5, 4), drawn(2, 2, 5, 6)] },
  {
    op: 'Attention',
    opset: 24,
    inputs: [drawn(2, 3, 16), drawn(2, 3, 8), drawn(2, 3, 8)],
    attributes: { q_num_heads: int(4), kv_num_heads: int(2), is_causal: int(1) },
    note: 'shared key heads, causal',
  },
  {
    op: 'Attention',
    opset: 24,
    inputs: [drawn(1, 4, 2, 4), drawn(1, 2, 2, 4), drawn(1, 2, 2, 4), undefined, drawn(1, 2, 3, 4), drawn(1, 2, 3, 4)],
    attributes: { scale: float(0.7) },
    outputs: 3,
    note: 'with a cache',
  },
  {
    op: 'Attention',
    opset: 24,
    inputs: [drawn(2, 2, 3, 4), drawn(2, 2, 3, 4), drawn(2, 2, 3, 4), given('bool', [3, 3], [1, 0, 0, 1, 1, 0, 0, 1, 1])],
    note: 'mask of truths',
  },
  { op: 'Attention', opset: 24, inputs: [drawn(2, 2, 3, 4), drawn(2, 2, 3, 4), drawn(2, 2, 3, 4), drawn(2, 1, 3, 3)], note: 'added mask' },
  { op: 'MultiHeadAttention', domain: ms, inputs: [drawn(2, 3, 8), drawn(2, 5, 8), drawn(2, 5, 12)], attributes: { num_heads: int(2) } },
  {
    op: 'MultiHeadAttention',
    domain: ms,
    inputs: [drawn(2, 3, 8), drawn(2, 3, 8), drawn(2, 3, 8), drawn(24), given('int32', [2, 3], [1, 1, 1, 1, 1, 0]), drawn(1, 2, 3, 3)],
    attributes: { num_heads: int(2), scale: float(0.3), mask_filter_value: float(-1e9) },
    note: 'bias, hidden keys, added mask',
  },
  {
    op: 'MultiHeadAttention',
    domain: ms,
    inputs: [drawn(2, 3, 8), drawn(2, 3, 8), drawn(2, 3, 8)],
    attributes: { num_heads: int(2), unidirectional: int(1) },
    note: 'causal',
  },
  {
    op: 'MultiHeadAttention',
    domain: ms,
    inputs: [drawn(2, 3, 8), drawn(2, 2, 5, 4), drawn(2, 2, 5, 4)],
    attributes: { num_heads: int(2) },
    note: 'keys with heads',
  },
  {
    op: 'GroupQueryAttention',
    domain: ms,
    inputs: [
      drawn(2, 3, 32),
      drawn(2, 3, 16),
      drawn(2, 3, 16),
      given('float32', [2, 2, 0, 8], []),
      given('float32', [2, 2, 0, 8], []),
      given('int32', [2], [2, 2]),
      given('int32', [], [3]),
    ],
    attributes: { num_heads: int(4), kv_num_heads: int(2) },
    outputs: 3,
    targets: [0],
  },
  {
    op: 'GroupQueryAttention',
    domain: ms,
    inputs: [
      drawn(2, 3, 64),
      undefined,
      undefined,
      given('float32', [2, 1, 0, 16], []),
      given('float32', [2, 1, 0, 16], []),
      given('int32', [2], [2, 2]),
      given('int32', [], [3]),
      longCosine,
      longSine,
    ],
    attributes: { num_heads: int(2), kv_num_heads: int(1), do_rotary: int(1), scale: float(0.5) },
    outputs: 3,
    targets: [0],
    note: 'packed, rotary',
  },
  { op: 'Attention', domain: ms, inputs: [drawn(2, 3, 5), drawn(5, 24), drawn(24)], attributes: { num_heads: int(2) } },
  {
    op: 'Attention',
    domain: ms,
    inputs: [drawn(2, 3, 5), drawn(5, 24), drawn(24), given('int32', [2, 3], [1, 1, 1, 1, 1, 0])],
    attributes: { num_heads: int(2), unidirectional: int(1), mask_filter_value: float(-1e9) },
    note: 'hidden keys, causal',
  },
];
