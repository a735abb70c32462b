import type { DifferentiableOperator, GradientRule } from '../graph/gradient';
import type { Value } from '../graph/graph';
import { defineOp } from './defineOp';
import { real, unary, unaryGradient } from './elementwiseForms';
import { formula, type Formula } from './formula';
import { sumToShapeOf } from './gradients';
import { commonDType, floatAttribute, stringAttribute } from './inference';

/** Activation functions. At kinks the gradient follows PyTorch. Rules use the output if that saves a function evaluation. */

/** d(x s(ax))/dx = s + a y (1 - s) with s the logistic function. */
const scaledSigmoidGradient = (standardAlpha: number): GradientRule =>
  unaryGradient(({ x, y, dy, node }, { add, sub, mul, op }) => {
    const alpha = floatAttribute(node, 'alpha', standardAlpha);
    const gate = op('Sigmoid', alpha === 1 ? x : mul(x, alpha));
    const bend = mul(y, sub(1, gate));
    return mul(dy, add(gate, alpha === 1 ? bend : mul(bend, alpha)));
  });

/** Slope of x Phi(x): Phi(x) + x phi(x), with the normal distribution's Phi and phi. */
function exactGeluSlope(x: Value, { add, mul, op }: Formula): Value {
  const half = mul(add(op('Erf', mul(x, Math.SQRT1_2)), 1), 0.5);
  const density = mul(op('Exp', mul(mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
  return add(half, mul(x, density));
}

/** Slope of x (1 + t) / 2 with t = tanh(sqrt(2 / pi) (x + 0.044715 x^3)). */
function tanhGeluSlope(x: Value, { add, sub, mul, op }: Formula): Value {
  const factor = Math.sqrt(2 / Math.PI);
  const square = mul(x, x);
  const t = op('Tanh', mul(x, add(mul(square, 0.044715 * factor), factor)));
  const inner = mul(x, add(mul(square, 3 * 0.044715 * factor), factor));
  return mul(add(mul(sub(1, mul(t, t)), inner), add(t, 1)), 0.5);
}

const geluGradient = unaryGradient(({ x, dy, node }, calculate) =>
  calculate.mul(dy, stringAttribute(node, 'approximate', 'none') === 'tanh' ? tanhGeluSlope(x, calculate) : exactGeluSlope(x, calculate)),
);

/** Gelu of x + bias, with a bias of the length of the last axis. */
const biasGelu = (name: string, slope: (x: Value, formula: Formula) => Value): DifferentiableOperator =>
  defineOp({
    name,
    domain: 'com.microsoft',
    inputs: 1,
    maxInputs: 2,
    infer: ([x, bias]) => [{ dtype: commonDType([x, bias]), shape: x.shape }],
    gradient: ({ build, inputs: [x, bias], outputGradients: [dy] }) => {
      if (!x || !dy) return [];
      const calculate = formula(build, x.type.dtype);
      const dx = calculate.mul(dy, slope(bias ? calculate.add(x, bias) : x, calculate));
      return [dx, bias && sumToShapeOf(build, dx, bias)];
    },
  });

/** The slope is broadcast to the input, never the other way round. */
const pRelu = defineOp({
  name: 'PRelu',
  inputs: 2,
  infer: ([x, slope]) => [{ dtype: commonDType([x, slope]), shape: x.shape }],
  gradient: ({ build, inputs: [x, slope], outputGradients: [dy], needs }) => {
    if (!x || !slope || !dy) return [];
    const { mul, greater, where } = formula(build, x.type.dtype);
    const positive = greater(x, 0);
    return [
      needs(0) ? mul(dy, where(positive, 1, slope)) : undefined,
      needs(1) ? sumToShapeOf(build, mul(dy, where(positive, 0, x)), slope) : undefined,
    ];
  },
});

/** Elu and related functions: slope 1 (or `gain`) above 0, the output plus a constant below. */
const exponentialGradient = (parts: (attribute: (name: string, fallback: number) => number) => readonly [gain: number, offset: number]) =>
  unaryGradient(({ x, y, dy, node }, { add, mul, greater, where }) => {
    const [gain, offset] = parts((name, fallback) => floatAttribute(node, name, fallback));
    return mul(dy, where(greater(x, 0), gain, add(y, offset)));
  });

/** The activation operators. */
export const activationOperators = [
  unary('Relu', {
    // Multiplying by the mask is faster than Where and than Sign.
    gradient: unaryGradient(({ y, dy }, { mul, greater, cast }) => mul(dy, cast(greater(y, 0)))),
  }),
  real(
    'Sigmoid',
    unaryGradient(({ y, dy }, { sub, mul }) => mul(dy, mul(y, sub(1, y)))),
  ),
  real(
    'LeakyRelu',
    unaryGradient(({ x, dy, node }, { mul, greater, where }) => mul(dy, where(greater(x, 0), 1, floatAttribute(node, 'alpha', 0.01)))),
  ),
  real(
    'Elu',
    exponentialGradient((attribute) => [1, attribute('alpha', 1)]),
  ),
  real(
    'Selu',
    exponentialGradient((attribute) => {
      const gamma = attribute('gamma', 1.0507009873554805);
      return [gamma, gamma * attribute('alpha', 1.6732632423543772)];
    }),
  ),
  real(
    'Celu',
    unaryGradient(({ x, y, dy, node }, { add, mul, greater, where }) =>
      mul(dy, where(greater(x, 0), 1, add(mul(y, 1 / floatAttribute(node, 'alpha', 1)), 1))),
    ),
  ),
  real(
    'ThresholdedRelu',
    unaryGradient(({ x, dy, node }, { mul, greater, cast }) => mul(dy, cast(greater(x, floatAttribute(node, 'alpha', 1))))),
  ),
  real(
    'HardSigmoid',
    // y is strictly between 0 and 1 where y (1 - y) is positive.
    unaryGradient(({ y, dy, node }, { sub, mul, greater, where }) =>
      where(greater(mul(y, sub(1, y)), 0), mul(dy, floatAttribute(node, 'alpha', 0.2)), 0),
    ),
  ),
  real(
    'HardSwish',
    unaryGradient(({ x, dy }, { add, mul, less, greater, where }) =>
      mul(dy, where(less(x, -3), 0, where(greater(x, 3), 1, add(mul(x, 1 / 3), 0.5)))),
    ),
  ),
  real(
    'Mish',
    // With t = tanh(softplus(x)): t + x sigmoid(x) (1 - t^2).
    unaryGradient(({ x, dy }, { add, sub, mul, op }) => {
      const t = op('Tanh', op('Softplus', x));
      return mul(dy, add(t, mul(mul(x, op('Sigmoid', x)), sub(1, mul(t, t)))));
    }),
  ),
  real(
    'Softplus',
    unaryGradient(({ x, dy }, { mul, op }) => mul(dy, op('Sigmoid', x))),
  ),
  real(
    'Softsign',
    unaryGradient(({ x, dy }, { add, mul, div, op }) => {
      const root = add(op('Abs', x), 1);
      return div(dy, mul(root, root));
    }),
  ),
  real(
    'Shrink',
    unaryGradient(({ x, dy, node }, { mul, greater, cast, op }) =>
      mul(dy, cast(greater(op('Abs', x), floatAttribute(node, 'lambd', 0.5)))),
    ),
  ),
  real('Swish', scaledSigmoidGradient(1)),
  real('QuickGelu', scaledSigmoidGradient(1.702), 'com.microsoft'),
  real('Gelu', geluGradient),
  real('Gelu', geluGradient, 'com.microsoft'),
  biasGelu('BiasGelu', exactGeluSlope),
  biasGelu('FastGelu', tanhGeluSlope),
  pRelu,
];
