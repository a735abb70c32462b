import type { DifferentiableOperator, GradientRule } from '../graph/gradient';
import { int } from '../graph/builder';
import { defineOp } from './defineOp';
import { formula } from './formula';
import { staticShape } from './gradients';
import { floatTypes, intAttribute, normalizeAxis, requireDType } from './inference';

/** Softmax and related operators along one axis. */

const alongAxis = (name: string, gradient: GradientRule | 'none'): DifferentiableOperator =>
  defineOp({
    name,
    inputs: 1,
    infer: ([x], context) => {
      requireDType(x, floatTypes, `The input of ${name}`);
      if (x.shape !== undefined && x.shape.length > 0) normalizeAxis(intAttribute(context, 'axis', -1), x.shape.length);
      return [x];
    },
    gradient,
  });

/** dx = dy y - y sum(dy y). */
const softmaxGradient: GradientRule = ({ build, node, outputs: [y], outputGradients: [dy] }) => {
  if (!y || !dy) return [];
  const { sub, mul } = formula(build, y.type.dtype);
  const axis = normalizeAxis(intAttribute(node, 'axis', -1), staticShape(y).length);
  const weighted = mul(dy, y);
  return [sub(weighted, mul(y, build.op('ReduceSum', [weighted, build.int64([axis])], { keepdims: int(1) })))];
};

/** dx = dy - exp(y) sum(dy). */
const logSoftmaxGradient: GradientRule = ({ build, node, outputs: [y], outputGradients: [dy] }) => {
  if (!y || !dy) return [];
  const { sub, mul, op } = formula(build, y.type.dtype);
  const axis = normalizeAxis(intAttribute(node, 'axis', -1), staticShape(y).length);
  return [sub(dy, mul(op('Exp', y), build.op('ReduceSum', [dy, build.int64([axis])], { keepdims: int(1) })))];
};

/** The operators of this file. */
export const softmaxOperators = [
  alongAxis('Softmax', softmaxGradient),
  alongAxis('LogSoftmax', logSoftmaxGradient),
  alongAxis('Hardmax', 'none'),
];
