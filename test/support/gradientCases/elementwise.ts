import { drawn, type GradientCase } from './gradientCase';

/** Element-wise operators. */
export const elementwiseCases: readonly GradientCase[] = [
  ...['Add', 'Mul'].flatMap((op): readonly GradientCase[] => [
    { op, inputs: [drawn(2, 3), drawn(3)] },
    { op, inputs: [drawn(4, 1), drawn(1, 5)] },
    { op, inputs: [drawn(), drawn(7)] },
  ]),
];
