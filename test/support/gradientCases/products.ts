import { drawn, type GradientCase } from './gradientCase';

/** Matrix products. */
export const productCases: readonly GradientCase[] = [
  { op: 'MatMul', inputs: [drawn(3, 4), drawn(4, 5)] },
  { op: 'MatMul', inputs: [drawn(2, 1, 3, 4), drawn(5, 4, 6)] },
  { op: 'MatMul', inputs: [drawn(4), drawn(4, 5)] },
  { op: 'MatMul', inputs: [drawn(2, 3, 4), drawn(4)] },
  { op: 'MatMul', inputs: [drawn(4), drawn(4)] },
];
