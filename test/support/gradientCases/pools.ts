import { int, ints, type AttributeInput } from '../../../src/engine/graph/builder';
import { distinct, drawn, given, type GradientCase } from './gradientCase';

const pool = (op: string, shape: readonly number[], attributes: Readonly<Record<string, AttributeInput>>, outputs = 1): GradientCase => ({
  op,
  inputs: [op === 'MaxPool' ? distinct(...shape) : drawn(...shape)],
  attributes,
  outputs,
});

const k = (...sizes: number[]) => ({ kernel_shape: ints(sizes) });

/** Pools. */
export const poolCases: readonly GradientCase[] = [
  pool('MaxPool', [2, 3, 6, 6], { ...k(2, 2), strides: ints([2, 2]) }),
  pool('MaxPool', [2, 3, 7, 6], { ...k(3, 2), strides: ints([2, 1]), pads: ints([1, 0, 1, 1]) }, 2),
  pool('MaxPool', [1, 2, 7, 7], { ...k(3, 3), strides: ints([2, 2]), ceil_mode: int(1), dilations: ints([1, 2]) }),
  pool('MaxPool', [1, 2, 7, 7], { ...k(2, 3), strides: ints([2, 2]), auto_pad: 'SAME_UPPER' }),
  pool('MaxPool', [2, 3, 9], { ...k(3), strides: ints([2]) }),
  pool('MaxPool', [1, 2, 4, 5, 4], { ...k(2, 2, 2), strides: ints([2, 1, 2]) }),
  pool('AveragePool', [2, 3, 6, 6], { ...k(2, 2), strides: ints([2, 2]) }),
  pool('AveragePool', [2, 3, 7, 8], { ...k(2, 3), strides: ints([2, 3]), pads: ints([0, 1, 0, 0]) }),
  pool('AveragePool', [1, 2, 8, 8], { ...k(3, 3), pads: ints([1, 1, 1, 1]) }),
  pool('AveragePool', [1, 2, 8, 7], { ...k(3, 3), strides: ints([2, 2]), pads: ints([1, 1, 1, 1]), count_include_pad: int(1) }),
  pool('AveragePool', [1, 2, 7, 8], { ...k(3, 3), strides: ints([2, 2]), ceil_mode: int(1) }),
  pool('AveragePool', [1, 2, 7, 8], { ...k(3, 2), strides: ints([3, 2]), ceil_mode: int(1) }),
  pool('AveragePool', [1, 2, 9], { ...k(3), strides: ints([2]), dilations: ints([2]) }),
  pool('AveragePool', [1, 2, 5, 4, 5], { ...k(2, 2, 3), strides: ints([1, 2, 1]) }),
  pool('AveragePool', [1, 2, 7, 7], { ...k(3, 2), strides: ints([2, 2]), auto_pad: 'SAME_LOWER' }),
  { op: 'GlobalAveragePool', inputs: [drawn(2, 3, 4, 5)] },
  { op: 'GlobalAveragePool', inputs: [drawn(2, 3, 7)] },
  { op: 'GlobalMaxPool', inputs: [distinct(2, 3, 4, 5)] },
  pool('LpPool', [1, 2, 7, 7], { ...k(2, 2) }),
  pool('LpPool', [1, 2, 7, 7], { ...k(3, 3), strides: ints([2, 2]), pads: ints([1, 1, 1, 1]), p: int(3) }),
  pool('LpPool', [1, 2, 6, 6], { ...k(2, 2), strides: ints([2, 2]), p: int(1) }),
  { op: 'GlobalLpPool', inputs: [drawn(1, 2, 3, 3)] },
  { op: 'GlobalLpPool', inputs: [drawn(1, 2, 3, 3)], attributes: { p: int(3) } },
  {
    op: 'MaxUnpool',
    inputs: [drawn(1, 1, 2, 2), given('int64', [1, 1, 2, 2], [0, 3, 8, 10])],
    attributes: { ...k(2, 2), strides: ints([2, 2]) },
  },
];
