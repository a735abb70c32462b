import { int } from '../../../src/engine/graph/builder';
import { between, given, type GradientCase } from './gradientCase';

const codes = given('uint8', [4, 3], [0, 7, 255, 13, 128, 3, 60, 99, 200, 1, 17, 80]);

/** Codes to numbers: the scales have gradients. */
export const quantizationCases: readonly GradientCase[] = [
  { op: 'DequantizeLinear', inputs: [codes, between(0.1, 0.9)] },
  { op: 'DequantizeLinear', inputs: [codes, between(0.1, 0.9, 3), given('uint8', [3], [3, 128, 0])] },
  { op: 'DequantizeLinear', inputs: [codes, between(0.1, 0.9, 4)], attributes: { axis: int(0) } },
  {
    op: 'DequantizeLinear',
    inputs: [codes, between(0.1, 0.9, 2, 3), given('uint8', [2, 3], [1, 2, 3, 4, 5, 6])],
    attributes: { axis: int(0), block_size: int(2) },
    note: 'blocks',
  },
  { op: 'DequantizeLinear', domain: 'com.microsoft', inputs: [codes, between(0.1, 0.9), given('uint8', [], [3])] },
];
