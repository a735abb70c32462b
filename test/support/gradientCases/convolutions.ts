import { int, ints, type AttributeInput } from '../../../src/engine/graph/builder';
import { distinct, drawn, type GradientCase } from './gradientCase';

const conv = (x: readonly number[], w: readonly number[], attributes: Readonly<Record<string, AttributeInput>> = {}): GradientCase => ({
  op: 'Conv',
  inputs: [drawn(...x), drawn(...w), drawn(w[0] as number)],
  attributes,
});

/** Convolutions. */
export const convolutionCases: readonly GradientCase[] = [
  conv([2, 3, 7, 6], [4, 3, 3, 3], { pads: ints([1, 1, 1, 1]) }),
  conv([2, 3, 9, 8], [6, 3, 3, 2], { strides: ints([2, 3]), pads: ints([1, 0, 2, 1]) }),
  conv([2, 3, 5, 6], [4, 3, 1, 1]),
  conv([2, 3, 5, 6], [4, 3, 1, 1], { strides: ints([2, 2]) }),
  conv([1, 3, 7, 7], [2, 3, 3, 3], { auto_pad: 'SAME_UPPER', strides: ints([2, 2]) }),
  conv([1, 3, 8, 7], [2, 3, 2, 4], { auto_pad: 'SAME_LOWER' }),
  conv([1, 3, 8, 7], [2, 3, 2, 4], { auto_pad: 'VALID' }),
  conv([2, 4, 9, 7], [6, 2, 3, 3], { group: int(2), dilations: ints([2, 1]), pads: ints([3, 1, 2, 0]) }),
  conv([2, 4, 8, 8], [6, 2, 3, 3], { group: int(2), strides: ints([2, 2]), pads: ints([1, 1, 1, 1]) }),
  conv([2, 4, 6, 6], [4, 1, 3, 3], { group: int(4), pads: ints([1, 1, 1, 1]) }),
  conv([2, 4, 6, 6], [8, 1, 3, 3], { group: int(4), strides: ints([2, 1]) }),
  conv([1, 2, 4, 4], [3, 2, 2, 2], { pads: ints([3, 3, 2, 2]) }),
  conv([2, 3, 9], [4, 3, 3], { strides: ints([2]), dilations: ints([2]), pads: ints([2, 1]) }),
  conv([2, 4, 9], [6, 2, 3], { group: int(2) }),
  conv([1, 2, 5, 4, 6], [3, 2, 2, 3, 2], { strides: ints([2, 1, 2]), pads: ints([1, 1, 0, 0, 1, 1]) }),
  conv([1, 2, 5, 4, 3], [3, 2, 2, 3, 1]),
  { op: 'Conv', inputs: [drawn(1, 2, 5, 5), drawn(3, 2, 3, 3)], note: 'without bias' },
  ...[
    { x: [2, 3, 4, 5], w: [3, 2, 3, 3], attributes: {} },
    {
      x: [1, 4, 5, 4],
      w: [4, 3, 3, 3],
      attributes: { strides: ints([2, 2]), pads: ints([1, 1, 1, 1]), output_padding: ints([1, 1]), group: int(2) },
    },
    { x: [1, 2, 4], w: [2, 3, 3], attributes: { strides: ints([3]), dilations: ints([2]), pads: ints([1, 2]) } },
    { x: [1, 2, 3, 3, 2], w: [2, 2, 2, 2, 2], attributes: { strides: ints([2, 1, 2]) } },
    { x: [1, 2, 4, 4], w: [2, 3, 3, 3], attributes: { strides: ints([2, 2]), auto_pad: 'SAME_UPPER' } },
    { x: [1, 2, 4, 4], w: [2, 3, 3, 3], attributes: { strides: ints([2, 2]), output_shape: ints([8, 8]) } },
    { x: [1, 2, 4, 4], w: [2, 3, 2, 2], attributes: { strides: ints([3, 3]) } },
  ].map(({ x, w, attributes }): GradientCase => ({
    op: 'ConvTranspose',
    inputs: [drawn(...x), drawn(...w), drawn((w[1] as number) * ('group' in attributes ? 2 : 1))],
    attributes,
  })),
  {
    op: 'FusedConv',
    domain: 'com.microsoft',
    inputs: [distinct(1, 2, 5, 5), drawn(3, 2, 3, 3), drawn(3)],
    attributes: { activation: 'Relu', pads: ints([1, 1, 1, 1]) },
  },
];
