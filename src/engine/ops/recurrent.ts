import type { DifferentiableOperator } from '../graph/gradient';
import type { InferContext } from '../graph/operator';
import type { Dimension, TensorType } from '../graph/types';
import { defineOp } from './defineOp';
import { commonDType, intAttribute, invalid, requireDType, requireRank, stringAttribute, type Shape } from './inference';

/**
 * Recurrent layers: x [time, batch, inputs] (or [batch, time, inputs] with layout 1), weights [directions, gates * hidden, inputs] and
 * [directions, gates * hidden, hidden]. Outputs: all states [time, directions, batch, hidden] and the last ones [directions, batch,
 * hidden]; with layout 1 the batch comes first.
 */

/** Number of hidden units: from the attribute, or from the recurrent weights. */
function hiddenSize(recurrence: TensorType, context: InferContext): Dimension {
  const given = context.attributes['hidden_size'];
  const width = recurrence.shape?.[2];
  if (given === undefined) return width ?? `${context.node}.hidden`;
  const size = intAttribute(context, 'hidden_size', 0);
  if (typeof width === 'number' && width !== size)
    throw invalid(`hidden_size is ${size}, but the recurrent weights have ${width} columns.`, { hidden: size });
  return size;
}

const recurrent = (name: string, gates: number, states: number, maxInputs: number): DifferentiableOperator =>
  defineOp({
    name,
    inputs: 3,
    maxInputs,
    infer: ([x, weights, recurrence, bias, lengths], context) => {
      requireRank(x, [3], `The input of ${name}`);
      requireRank(weights, [3], `The weights of ${name}`);
      requireRank(recurrence, [3], `The recurrent weights of ${name}`);
      requireDType(lengths, ['int32'], `The sequence lengths of ${name}`);
      const dtype = commonDType([x, weights, recurrence, bias]);
      const hidden = hiddenSize(recurrence, context);
      const rows = weights.shape?.[1];
      if (typeof rows === 'number' && typeof hidden === 'number' && rows !== gates * hidden)
        throw invalid(`${name} with ${hidden} hidden units needs weights with ${gates * hidden} rows, got ${rows}.`);
      const directions = stringAttribute(context, 'direction', 'forward') === 'bidirectional' ? 2 : 1;
      const batchFirst = intAttribute(context, 'layout', 0) !== 0;
      const [first, second] = [x.shape?.[0], x.shape?.[1]];
      if (first === undefined || second === undefined) return Array.from({ length: 1 + states }, () => ({ dtype, shape: undefined }));
      const [time, batch] = batchFirst ? [second, first] : [first, second];
      const all: Shape = batchFirst ? [batch, time, directions, hidden] : [time, directions, batch, hidden];
      const last: Shape = batchFirst ? [batch, directions, hidden] : [directions, batch, hidden];
      return [{ dtype, shape: all }, ...Array.from({ length: states }, () => ({ dtype, shape: last }))];
    },
  });

/** RNN, GRU and LSTM. */
export const recurrentOperators = [recurrent('RNN', 1, 1, 6), recurrent('GRU', 3, 1, 6), recurrent('LSTM', 4, 2, 8)];
