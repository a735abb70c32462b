import type { DType } from '../../protocol/dtypes';
import type { GradientRule } from '../graph/gradient';
import { broadcastShapes } from '../graph/shapes';
import { defineOp } from './defineOp';
import { sumToShapeOf } from './gradients';
import { commonDType, floatTypes, requireDType } from './inference';

/** Element-wise operators: one result for each place, with NumPy broadcasting where there are several inputs. */

const binary = (name: string, gradient?: GradientRule | 'none') =>
  defineOp({
    name,
    inputs: 2,
    infer: ([a, b]) => [{ dtype: commonDType([a, b]), shape: broadcastShapes(a.shape, b.shape) }],
    ...(gradient === undefined ? {} : { gradient }),
  });

const addGradient: GradientRule = ({ build, inputs, outputGradients: [dy], needs }) =>
  inputs.map((input, index) => (input && dy && needs(index) ? sumToShapeOf(build, dy, input) : undefined));

/** d(ab)/da = b and d(ab)/db = a, each summed back over the axes that were broadcast. */
const mulGradient: GradientRule = ({ build, inputs: [a, b], outputGradients: [dy], needs }) =>
  a && b && dy
    ? [
        needs(0) ? sumToShapeOf(build, build.op('Mul', [dy, b]), a) : undefined,
        needs(1) ? sumToShapeOf(build, build.op('Mul', [dy, a]), b) : undefined,
      ]
    : [];

const comparison = (name: string) =>
  defineOp({
    name,
    inputs: 2,
    infer: ([a, b]) => {
      commonDType([a, b]);
      return [{ dtype: 'bool', shape: broadcastShapes(a.shape, b.shape) }];
    },
  });

const logical = (name: string) =>
  defineOp({
    name,
    inputs: 2,
    infer: ([a, b]) => {
      requireDType(a, ['bool'], `The first input of ${name}`);
      requireDType(b, ['bool'], `The second input of ${name}`);
      return [{ dtype: 'bool', shape: broadcastShapes(a.shape, b.shape) }];
    },
  });

const unary = (name: string, options: { readonly domain?: string; readonly allowed?: readonly DType[] } = {}) =>
  defineOp({
    name,
    ...(options.domain === undefined ? {} : { domain: options.domain }),
    inputs: 1,
    infer: ([x]) => {
      if (options.allowed) requireDType(x, options.allowed, `The input of ${name}`);
      return [x];
    },
  });

const real = (name: string) => unary(name, { allowed: floatTypes });

const variadic = (name: string) =>
  defineOp({
    name,
    inputs: 1,
    maxInputs: Infinity,
    infer: (inputs) => [{ dtype: commonDType(inputs), shape: broadcastShapes(...inputs.map((type) => type?.shape)) }],
  });

/** A predicate on floats. */
const test = (name: string) =>
  defineOp({
    name,
    inputs: 1,
    infer: ([x]) => [{ dtype: 'bool', shape: x.shape }],
  });

/** Base and exponent may have different element types; the result has the base's. */
const pow = defineOp({
  name: 'Pow',
  inputs: 2,
  infer: ([base, exponent]) => [{ dtype: base.dtype, shape: broadcastShapes(base.shape, exponent.shape) }],
});

/** Limits are scalars, inputs since opset 11 and attributes before. */
const clip = defineOp({
  name: 'Clip',
  inputs: 1,
  maxInputs: 3,
  infer: ([x, minimum, maximum]) => [{ dtype: commonDType([x, minimum, maximum]), shape: x.shape }],
});

/** condition ? x : y, all three broadcast. */
const where = defineOp({
  name: 'Where',
  inputs: 3,
  infer: ([condition, x, y]) => {
    requireDType(condition, ['bool'], 'The condition of Where');
    return [{ dtype: commonDType([x, y]), shape: broadcastShapes(condition.shape, x.shape, y.shape) }];
  },
});

/** The slope is broadcast to the input, never the other way round. */
const pRelu = defineOp({ name: 'PRelu', inputs: 2, infer: ([x, slope]) => [{ dtype: commonDType([x, slope]), shape: x.shape }] });

/** x + y * gate[..., 1] in one pass. */
const gatedAdd = defineOp({
  name: 'GatedAdd',
  domain: 'com.microsoft',
  inputs: 3,
  infer: ([x, y, gate]) => [{ dtype: commonDType([x, y, gate]), shape: x.shape }],
});

/** Gelu with a bias of the last axis' length. */
const biasGelu = (name: string, maxInputs: number) =>
  defineOp({
    name,
    domain: 'com.microsoft',
    inputs: 1,
    maxInputs,
    infer: ([x, bias]) => [{ dtype: commonDType([x, bias]), shape: x.shape }],
  });

/** All element-wise operators. */
export const elementwiseOperators = [
  binary('Add', addGradient),
  binary('Mul', mulGradient),
  ...['Sub', 'Div', 'Mod', 'BitShift', 'BitwiseAnd', 'BitwiseOr', 'BitwiseXor'].map((name) => binary(name)),
  ...['Equal', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual'].map(comparison),
  ...['And', 'Or', 'Xor'].map(logical),
  ...['Min', 'Max', 'Sum', 'Mean'].map(variadic),
  ...['IsNaN', 'IsInf'].map(test),
  ...['Abs', 'Neg', 'Sign', 'Relu', 'BitwiseNot', 'Identity'].map((name) => unary(name)),
  unary('Not', { allowed: ['bool'] }),
  ...['Sqrt', 'Reciprocal', 'Exp', 'Log', 'Erf', 'Floor', 'Ceil', 'Round', 'Sigmoid', 'Tanh', 'Gelu', 'Swish'].map(real),
  ...['Sin', 'Cos', 'Tan', 'Asin', 'Acos', 'Atan', 'Sinh', 'Cosh', 'Asinh', 'Acosh', 'Atanh'].map(real),
  ...['LeakyRelu', 'Elu', 'Selu', 'Celu', 'ThresholdedRelu', 'HardSigmoid', 'HardSwish', 'Mish', 'Softplus', 'Softsign', 'Shrink'].map(
    real,
  ),
  unary('QuickGelu', { domain: 'com.microsoft', allowed: floatTypes }),
  unary('Gelu', { domain: 'com.microsoft', allowed: floatTypes }),
  biasGelu('BiasGelu', 2),
  biasGelu('FastGelu', 2),
  pow,
  clip,
  where,
  pRelu,
  gatedAdd,
];
