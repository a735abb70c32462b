import type { GradientRule } from '../graph/gradient';
import { broadcastShapes } from '../graph/shapes';
import { defineOp } from './defineOp';
import { binary, binaryGradient, real, unary, unaryGradient, variadic } from './elementwiseForms';
import { formula } from './formula';
import { castTo, scalarOf, sumToShapeOf } from './gradients';
import { commonDType } from './inference';

/** Element-wise arithmetic, with NumPy broadcasting for several inputs. */

const addGradient = binaryGradient(
  ({ dy }) => dy,
  ({ dy }) => dy,
);

const subGradient = binaryGradient(
  ({ dy }) => dy,
  ({ dy }, { op }) => op('Neg', dy),
);

/** d(ab)/da = b and d(ab)/db = a. */
const mulGradient = binaryGradient(
  ({ dy, b }, { mul }) => mul(dy, b),
  ({ dy, a }, { mul }) => mul(dy, a),
);

/** d(a/b)/da = 1/b and d(a/b)/db = -(a/b)/b. */
const divGradient = binaryGradient(
  ({ dy, b }, { div }) => div(dy, b),
  ({ dy, b, y }, { mul, div, op }, da) => op('Neg', mul(da ?? div(dy, b), y)),
);

/**
 * Remainder a - b q with an integer q = (a - y) / b, whatever the sign convention: da = dy, db = -dy q. Rounding removes the error of the
 * division.
 */
const modGradient = binaryGradient(
  ({ dy }) => dy,
  ({ a, b, y, dy }, { sub, mul, div, op }) => op('Neg', mul(dy, op('Round', div(sub(a, y), b)))),
);

/**
 * d(x^e)/dx = e x^(e-1), 0 if e is 0; d(x^e)/de = x^e log x, 0 if x is 0 and e is not negative (as in PyTorch). Constant exponents 2 and
 * 1/2 have cheaper forms.
 */
const powGradient: GradientRule = ({ build, inputs: [x, exponent], outputs: [y], outputGradients: [dy], needs, constantOf }) => {
  if (!x || !exponent || !y || !dy) return [];
  const { add, sub, mul, div, equal, where, op } = formula(build, x.type.dtype);
  const known = scalarOf(constantOf(1));
  const base = () => {
    if (known === 2) return mul(dy, add(x, x));
    if (known === 1) return dy;
    if (known === 0) return mul(dy, 0);
    if (known === 0.5) return div(mul(dy, 0.5), y);
    if (known === 3) return mul(mul(dy, mul(x, x)), 3);
    if (known === -1) return op('Neg', mul(dy, mul(y, y)));
    if (known !== undefined) return mul(mul(dy, op('Pow', x, known - 1)), known);
    const power = castTo(build, exponent, x.type.dtype);
    return mul(dy, where(equal(power, 0), 0, mul(power, op('Pow', x, sub(power, 1)))));
  };
  const ofExponent = () => mul(dy, where(equal(y, 0), 0, mul(y, op('Log', x))));
  return [needs(0) ? sumToShapeOf(build, base(), x) : undefined, needs(1) ? sumToShapeOf(build, ofExponent(), exponent) : undefined];
};

/** Base and exponent may have different element types; the result has the type of the base. */
const pow = defineOp({
  name: 'Pow',
  inputs: 2,
  infer: ([base, exponent]) => [{ dtype: base.dtype, shape: broadcastShapes(base.shape, exponent.shape) }],
  gradient: powGradient,
});

const sumGradient: GradientRule = ({ build, inputs, outputGradients: [dy], needs }) =>
  inputs.map((input, index) => (input && dy && needs(index) ? sumToShapeOf(build, dy, input) : undefined));

const meanGradient: GradientRule = ({ build, inputs, outputGradients: [dy], needs }) => {
  if (!dy) return [];
  const share = inputs.length === 1 ? dy : formula(build, dy.type.dtype).mul(dy, 1 / inputs.length);
  return inputs.map((input, index) => (input && needs(index) ? sumToShapeOf(build, share, input) : undefined));
};

/** x + y * gate[..., 1] in one pass. */
const gatedAdd = defineOp({
  name: 'GatedAdd',
  domain: 'com.microsoft',
  inputs: 3,
  infer: ([x, y, gate]) => [{ dtype: commonDType([x, y, gate]), shape: x.shape }],
  gradient: ({ build, inputs: [x, y, gate], outputGradients: [dy], needs }) => {
    if (!x || !y || !gate || !dy) return [];
    const { mul } = formula(build, x.type.dtype);
    return [dy, needs(1) ? sumToShapeOf(build, mul(dy, gate), y) : undefined, needs(2) ? sumToShapeOf(build, mul(dy, y), gate) : undefined];
  },
});

/** Arithmetic, powers, roots, logarithms and rounding. */
export const elementwiseOperators = [
  binary('Add', addGradient),
  binary('Sub', subGradient),
  binary('Mul', mulGradient),
  binary('Div', divGradient),
  binary('Mod', modGradient),
  pow,
  variadic('Sum', sumGradient),
  variadic('Mean', meanGradient),
  unary('Identity', { gradient: unaryGradient(({ dy }) => dy) }),
  unary('Neg', { gradient: unaryGradient(({ dy }, { op }) => op('Neg', dy)) }),
  unary('Abs', { gradient: unaryGradient(({ x, dy }, { mul, op }) => mul(dy, op('Sign', x))) }),
  unary('Sign', { gradient: 'none' }),
  real(
    'Sqrt',
    unaryGradient(({ y, dy }, { mul, div }) => div(mul(dy, 0.5), y)),
  ),
  real(
    'Reciprocal',
    unaryGradient(({ y, dy }, { mul, op }) => op('Neg', mul(dy, mul(y, y)))),
  ),
  real(
    'Exp',
    unaryGradient(({ y, dy }, { mul }) => mul(dy, y)),
  ),
  real(
    'Log',
    unaryGradient(({ x, dy }, { div }) => div(dy, x)),
  ),
  real(
    'Erf',
    unaryGradient(({ x, dy }, { mul, op }) => mul(mul(dy, 2 / Math.sqrt(Math.PI)), op('Exp', op('Neg', mul(x, x))))),
  ),
  ...['Floor', 'Ceil', 'Round'].map((name) => real(name, 'none')),
  gatedAdd,
];
