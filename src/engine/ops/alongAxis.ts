import type { GradientRule } from '../graph/gradient';
import { int } from '../graph/builder';
import { LoomweightError } from '../../protocol/errors';
import { defineOp } from './defineOp';
import { filled, staticShape } from './gradients';
import { intAttribute, normalizeAxis, requireDType, unknownLength } from './inference';

/** Operators along one axis: running sums, and the largest values in order. */

/** The gradients of the values are scattered back to the positions that they came from. */
const topKGradient: GradientRule = ({ build, node, inputs: [x, k], outputs: [, indices], outputGradients: [dy] }) => {
  if (!x || !dy) return [];
  const shape = staticShape(x);
  const axis = normalizeAxis(intAttribute(node, 'axis', -1), shape.length);
  const places = indices ?? build.node('TopK', [x, k], node.attributes, { outputs: 2 })[1];
  if (!places) throw new LoomweightError('internal', 'TopK gives no indices.');
  return [build.op('ScatterElements', [filled(build, 0, shape, x.type.dtype), places, dy], { axis: int(axis) })];
};

/** The k largest or smallest values along an axis, with their int64 indices. */
const topK = defineOp({
  name: 'TopK',
  inputs: 1,
  maxInputs: 2,
  infer: ([x], context) => {
    if (x.shape === undefined) return [x, { dtype: 'int64', shape: undefined }];
    const axis = normalizeAxis(intAttribute(context, 'axis', -1), x.shape.length);
    const constant = context.constantOf(1);
    const wanted =
      constant?.kind === 'inline' && constant.dtype === 'int64'
        ? Number(new DataView(constant.bytes.buffer, constant.bytes.byteOffset).getBigInt64(0, true))
        : context.attributes['k'] === undefined
          ? unknownLength(context, axis)
          : intAttribute(context, 'k', 0);
    const shape = x.shape.map((length, index) => (index === axis ? wanted : length));
    return [
      { dtype: x.dtype, shape },
      { dtype: 'int64', shape },
    ];
  },
  gradient: topKGradient,
});

/** Running sums along an axis given as a scalar input. The gradient runs from the other end. */
const cumSum = defineOp({
  name: 'CumSum',
  inputs: 2,
  infer: ([x, axis]) => {
    requireDType(axis, ['int32', 'int64'], 'The axis of CumSum');
    return [x];
  },
  gradient: ({ build, node, inputs: [, axis], outputGradients: [dy] }) =>
    dy
      ? [
          build.op('CumSum', [dy, axis], {
            exclusive: int(intAttribute(node, 'exclusive', 0)),
            reverse: int(intAttribute(node, 'reverse', 0) === 0 ? 1 : 0),
          }),
        ]
      : [],
});

/** The operators of this file. */
export const alongAxisOperators = [topK, cumSum];
