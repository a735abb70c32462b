import { float, int } from '../../../src/engine/graph/builder';
import { between, drawn, given, integers, type GradientCase, type GradientInput } from './gradientCase';

const number = (value: number): GradientInput => ({
  kind: 'constant',
  data: { kind: 'inline', dtype: 'float32', shape: [], bytes: new Uint8Array(Float32Array.of(value).buffer) },
});

/** Rows of operators of one input, drawn from the range where they are smooth. */
const each = (names: string, input: GradientInput, more: Partial<GradientCase> = {}): readonly GradientCase[] =>
  names.split(' ').map((op) => ({ op, inputs: [input], ...more }));

/** Arithmetic, functions and choices. */
export const elementwiseCases: readonly GradientCase[] = [
  ...['Add', 'Sub', 'Mul'].flatMap((op): readonly GradientCase[] => [
    { op, inputs: [drawn(2, 3), drawn(3)] },
    { op, inputs: [drawn(4, 1), drawn(1, 5)] },
    { op, inputs: [drawn(), drawn(7)] },
  ]),
  { op: 'Div', inputs: [drawn(2, 3), between(0.5, 2, 3)] },
  { op: 'Div', inputs: [drawn(4, 1), between(-2, -0.5, 1, 5)] },
  { op: 'Div', inputs: [drawn(), between(0.5, 2, 7)] },
  { op: 'Mod', inputs: [between(0.1, 0.9, 2, 3), between(1, 2, 3)], attributes: { fmod: int(1) } },
  {
    op: 'Mod',
    inputs: [given('float32', [4], [5.3, -5.3, 7.9, -0.4]), given('float32', [4], [2, 2.1, -3.3, 1.7])],
    attributes: { fmod: int(1) },
    note: 'quotients other than 0',
  },
  { op: 'Pow', inputs: [between(0.2, 2, 2, 3), drawn(3)] },
  { op: 'Pow', inputs: [between(0.2, 2, 3), drawn(2, 1)] },
  ...[0, 0.5, 1, 2, 3, -1, -0.5, 1.7].map((exponent): GradientCase => ({
    op: 'Pow',
    inputs: [between(0.2, 2, 2, 3), number(exponent)],
    note: `to ${exponent}`,
  })),
  { op: 'Pow', inputs: [drawn(2, 3), number(3)], note: 'negative bases' },
  { op: 'Pow', inputs: [drawn(2, 3), integers([2, 3, 4])], kinks: [0] },
  { op: 'Pow', inputs: [drawn(2, 3), given('int64', [3], [0, 1, 2])], kinks: [0] },
  ...['Sum', 'Mean'].flatMap((op): readonly GradientCase[] => [
    { op, inputs: [drawn(2, 3), drawn(3), drawn(5, 1, 1)] },
    { op, inputs: [drawn(2, 3)] },
  ]),
  ...['Min', 'Max'].flatMap((op): readonly GradientCase[] => [
    { op, inputs: [drawn(2, 3), drawn(3), drawn(5, 1, 1)], note: 'drawn apart with probability 1' },
    { op, inputs: [drawn(2, 3), number(0)], kinks: [0] },
    { op, inputs: [drawn(2, 3)] },
  ]),
  ...each('Identity Neg Exp Erf Sin Cos Sinh Cosh Tanh Asinh Atan Sigmoid Softplus Mish Gelu', drawn(2, 3)),
  ...each('Tan Asin Acos Atanh', between(-0.9, 0.9, 2, 3)),
  ...each('Acosh', between(1.2, 3, 2, 3)),
  ...each('Sqrt Reciprocal Log', between(0.2, 2, 2, 3)),
  ...each('Abs', drawn(2, 3), { kinks: [0] }),
  ...each('Sign Floor Ceil Round', between(-2.4, 2.4, 2, 5), { kinks: [-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2], note: 'gradient 0' }),
  { op: 'Clip', inputs: [drawn(2, 5), number(-0.3), number(0.5)], kinks: [-0.3, 0.5] },
  { op: 'Clip', inputs: [drawn(2, 5), undefined, number(0.5)], kinks: [0.5] },
  { op: 'Clip', inputs: [drawn(2, 9), between(-0.6, -0.3), between(0.3, 0.6)], note: 'learned limits' },
  { op: 'Where', inputs: [given('bool', [2, 1], [1, 0]), drawn(3), drawn(4, 1, 1)] },
  { op: 'Where', inputs: [given('bool', [3], [1, 0, 1]), drawn(2, 3), number(0)] },
  { op: 'Cast', inputs: [drawn(2, 3)], attributes: { to: int(11) }, note: 'to float64' },
  { op: 'CastLike', inputs: [drawn(2, 3), given('float64', [1], [0])], note: 'to float64' },
  { op: 'GatedAdd', domain: 'com.microsoft', inputs: [drawn(2, 3), drawn(2, 3), drawn(2, 1)] },
];

const ms = 'com.microsoft';

/** Activation functions. */
export const activationCases: readonly GradientCase[] = [
  ...each('Relu LeakyRelu Elu Celu Selu', drawn(2, 5), { kinks: [0] }),
  { op: 'LeakyRelu', inputs: [drawn(2, 5)], attributes: { alpha: float(0.2) }, kinks: [0] },
  { op: 'Elu', inputs: [drawn(2, 5)], attributes: { alpha: float(0.7) }, kinks: [0] },
  { op: 'Celu', inputs: [drawn(2, 5)], attributes: { alpha: float(0.7) }, kinks: [0] },
  { op: 'Selu', inputs: [drawn(2, 5)], attributes: { alpha: float(1.5), gamma: float(1.2) }, kinks: [0] },
  { op: 'PRelu', inputs: [drawn(2, 5), drawn(5)], kinks: [0] },
  { op: 'PRelu', inputs: [drawn(2, 3, 4), drawn(3, 1)], kinks: [0] },
  { op: 'ThresholdedRelu', inputs: [between(-1, 2, 2, 5)], kinks: [1] },
  { op: 'ThresholdedRelu', inputs: [drawn(2, 5)], attributes: { alpha: float(0.3) }, kinks: [0.3] },
  { op: 'HardSigmoid', inputs: [between(-4, 4, 2, 8)], kinks: [-2.5, 2.5] },
  { op: 'HardSigmoid', inputs: [between(-4, 4, 2, 8)], attributes: { alpha: float(1 / 6), beta: float(0.5) }, kinks: [-3, 3] },
  { op: 'HardSwish', inputs: [between(-4, 4, 2, 8)], kinks: [-3, 3] },
  { op: 'Softsign', inputs: [drawn(2, 5)] },
  { op: 'Shrink', inputs: [drawn(2, 8)], kinks: [-0.5, 0.5] },
  { op: 'Shrink', inputs: [drawn(2, 8)], attributes: { lambd: float(0.3), bias: float(0.1) }, kinks: [-0.3, 0.3] },
  { op: 'Swish', opset: 24, inputs: [drawn(2, 5)] },
  { op: 'Swish', opset: 24, inputs: [drawn(2, 5)], attributes: { alpha: float(1.3) } },
  { op: 'Gelu', inputs: [between(-3, 3, 2, 5)] },
  { op: 'Gelu', inputs: [between(-3, 3, 2, 5)], attributes: { approximate: 'tanh' } },
  { op: 'Gelu', domain: ms, inputs: [between(-3, 3, 2, 5)] },
  { op: 'QuickGelu', domain: ms, inputs: [between(-3, 3, 2, 5)] },
  { op: 'QuickGelu', domain: ms, inputs: [between(-3, 3, 2, 5)], attributes: { alpha: float(1) } },
  { op: 'BiasGelu', domain: ms, inputs: [drawn(2, 3, 5), drawn(5)] },
  { op: 'FastGelu', domain: ms, inputs: [drawn(2, 3, 5), drawn(5)] },
  { op: 'FastGelu', domain: ms, inputs: [drawn(2, 5)] },
];
