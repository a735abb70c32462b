import { elementCount, type DType } from '../../protocol/dtypes';
import { int, type GraphBuilder } from '../graph/builder';
import type { Node, Value } from '../graph/graph';
import type { TrainingForm, TrainingFormTable } from '../graph/passes/batchStatistics';
import { formula } from './formula';
import { reshaped, staticShape } from './gradients';
import { floatAttribute, intAttribute } from './inference';
import { operatorKey } from './inputRoles';

/** Operators that behave differently in training and in inference. */
export const trainingForms: TrainingFormTable = {
  trainingForm: (node, inputs, build) =>
    operatorKey(node.domain, node.op) === 'BatchNormalization' && intAttribute(node, 'training_mode', 0) === 0
      ? batchNormalization(node, inputs, build)
      : undefined,
};

/**
 * Batch normalisation with batch statistics, for n values of each channel with mean m and variance v = mean (x - m)^2:
 *
 *   y = (x - m) / sqrt(v + epsilon) * scale + bias
 *   mean      becomes momentum * mean + (1 - momentum) * m
 *   variance  becomes momentum * variance + (1 - momentum) * v * n / (n - 1)      as PyTorch stores it; ONNX omits the last factor
 *
 * In basic operators: in training mode, ONNX Runtime's own node overwrites the stored statistics that it is given, which others still read.
 * Needs the shape of x.
 */
function batchNormalization(node: Node, inputs: readonly (Value | undefined)[], build: GraphBuilder): TrainingForm | undefined {
  const [x, scale, bias, storedMean, storedVariance] = inputs;
  if (!x || !scale || !bias || !storedMean || !storedVariance) return undefined;
  const shape = staticShape(x);
  const channels = shape[1] as number;
  const axes = build.int64(shape.map((_, axis) => axis).filter((axis) => axis !== 1));
  const average = (value: Value): Value => build.op('ReduceMean', [value, axes], { keepdims: int(1) });
  const perChannel = (value: Value): Value => reshaped(build, value, [1, channels, ...shape.slice(2).map(() => 1)]);
  const { add, sub, mul, div, op } = formula(build, x.type.dtype);
  const mean = average(x);
  const centred = sub(x, mean);
  const variance = average(mul(centred, centred));
  const inverse = div(1, op('Sqrt', add(variance, floatAttribute(node, 'epsilon', 1e-5))));
  const factor = mul(perChannel(scale), inverse);
  const output = add(mul(centred, factor), perChannel(bias));
  const count = elementCount(shape) / channels;
  const kept = floatAttribute(node, 'momentum', 0.9);
  const moved = (stored: Value, ofBatch: Value, factor: number): Value => {
    const statistic = formula(build, stored.type.dtype as DType);
    const fresh = reshaped(build, stored.type.dtype === ofBatch.type.dtype ? ofBatch : statistic.cast(ofBatch), [channels]);
    return statistic.add(statistic.mul(stored, kept), statistic.mul(fresh, (1 - kept) * factor));
  };
  return {
    outputs: [output],
    region: {
      output,
      inputs: [x, scale, bias],
      gradient: (backward, dy) => {
        const total = (value: Value): Value => backward.op('ReduceSum', [value, axes], { keepdims: int(1) });
        const sum = total(dy);
        const moment = mul(total(mul(dy, centred)), inverse);
        const along = mul(mul(mul(factor, inverse), moment), -1 / count);
        const dx = add(add(mul(dy, factor), mul(centred, along)), mul(mul(factor, sum), -1 / count));
        return [dx, reshaped(backward, moment, staticShape(scale)), reshaped(backward, sum, staticShape(bias))];
      },
    },
    updates: [
      { input: 3, value: moved(storedMean, mean, 1) },
      { input: 4, value: moved(storedVariance, variance, count > 1 ? count / (count - 1) : 1) },
    ],
  };
}
