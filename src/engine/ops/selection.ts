import type { GradientRule } from '../graph/gradient';
import { broadcastShapes } from '../graph/shapes';
import { defineOp } from './defineOp';
import { variadic } from './elementwiseForms';
import { formula } from './formula';
import { castTo, sumToShapeOf } from './gradients';
import { commonDType, requireDType } from './inference';

/** Operators that select one of several values at each position: limits, maxima, conditions. */

/** Inputs that tie for the extreme share the gradient evenly, as in PyTorch. */
const extremeGradient: GradientRule = ({ build, inputs, outputs: [y], outputGradients: [dy], needs }) => {
  if (!y || !dy) return [];
  if (inputs.length === 1) return [dy];
  const { add, mul, div, equal } = formula(build, y.type.dtype);
  const masks = inputs.map((input) => input && castTo(build, equal(input, y), y.type.dtype));
  const count = masks.filter((mask) => mask !== undefined).reduce((sum, mask) => add(sum, mask));
  const share = div(dy, count);
  return inputs.map((input, index) => {
    const mask = masks[index];
    return input && mask && needs(index) ? sumToShapeOf(build, mul(share, mask), input) : undefined;
  });
};

/** Values within the limits (inclusive) are unchanged: only they pass the gradient on; the others pass it to their limit. */
const clipGradient: GradientRule = ({ build, inputs: [x, minimum, maximum], outputs: [y], outputGradients: [dy], needs }) => {
  if (!x || !y || !dy) return [];
  const { mul, equal, less, greater, cast } = formula(build, x.type.dtype);
  return [
    needs(0) ? mul(dy, cast(equal(x, y))) : undefined,
    minimum && needs(1) ? sumToShapeOf(build, mul(dy, cast(less(x, y))), minimum) : undefined,
    maximum && needs(2) ? sumToShapeOf(build, mul(dy, cast(greater(x, y))), maximum) : undefined,
  ];
};

/** Limits are scalars: inputs since opset 11, attributes before. */
const clip = defineOp({
  name: 'Clip',
  inputs: 1,
  maxInputs: 3,
  infer: ([x, minimum, maximum]) => [{ dtype: commonDType([x, minimum, maximum]), shape: x.shape }],
  gradient: clipGradient,
});

/** condition ? x : y, all three broadcast. */
const where = defineOp({
  name: 'Where',
  inputs: 3,
  infer: ([condition, x, y]) => {
    requireDType(condition, ['bool'], 'The condition of Where');
    return [{ dtype: commonDType([x, y]), shape: broadcastShapes(condition.shape, x.shape, y.shape) }];
  },
  gradient: ({ build, inputs: [condition, x, y], outputGradients: [dy], needs }) => {
    if (!condition || !x || !y || !dy) return [];
    const choose = formula(build, dy.type.dtype).where;
    return [
      undefined,
      needs(1) ? sumToShapeOf(build, choose(condition, dy, 0), x) : undefined,
      needs(2) ? sumToShapeOf(build, choose(condition, 0, dy), y) : undefined,
    ];
  },
});

/** The operators of this file. */
export const selectionOperators = [variadic('Min', extremeGradient), variadic('Max', extremeGradient), clip, where];
