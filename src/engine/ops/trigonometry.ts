import { real, unaryGradient } from './elementwiseForms';

/** Circular and hyperbolic functions and their inverses. */

export const trigonometryOperators = [
  real(
    'Sin',
    unaryGradient(({ x, dy }, { mul, op }) => mul(dy, op('Cos', x))),
  ),
  real(
    'Cos',
    unaryGradient(({ x, dy }, { mul, op }) => op('Neg', mul(dy, op('Sin', x)))),
  ),
  real(
    'Tan',
    unaryGradient(({ y, dy }, { add, mul }) => mul(dy, add(mul(y, y), 1))),
  ),
  real(
    'Asin',
    unaryGradient(({ x, dy }, { sub, mul, div, op }) => div(dy, op('Sqrt', sub(1, mul(x, x))))),
  ),
  real(
    'Acos',
    unaryGradient(({ x, dy }, { sub, mul, div, op }) => op('Neg', div(dy, op('Sqrt', sub(1, mul(x, x)))))),
  ),
  real(
    'Atan',
    unaryGradient(({ x, dy }, { add, mul, div }) => div(dy, add(mul(x, x), 1))),
  ),
  real(
    'Sinh',
    unaryGradient(({ x, dy }, { mul, op }) => mul(dy, op('Cosh', x))),
  ),
  real(
    'Cosh',
    unaryGradient(({ x, dy }, { mul, op }) => mul(dy, op('Sinh', x))),
  ),
  real(
    'Tanh',
    unaryGradient(({ y, dy }, { sub, mul }) => mul(dy, sub(1, mul(y, y)))),
  ),
  real(
    'Asinh',
    unaryGradient(({ x, dy }, { add, mul, div, op }) => div(dy, op('Sqrt', add(mul(x, x), 1)))),
  ),
  real(
    'Acosh',
    unaryGradient(({ x, dy }, { sub, mul, div, op }) => div(dy, op('Sqrt', sub(mul(x, x), 1)))),
  ),
  real(
    'Atanh',
    unaryGradient(({ x, dy }, { sub, mul, div }) => div(dy, sub(1, mul(x, x)))),
  ),
];
