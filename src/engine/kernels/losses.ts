import { elementCount } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import type { CustomGradient } from '../autodiff/differentiate';
import { int } from '../graph/builder';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import { formatShape } from '../graph/shapes';
import { reshaped, staticShape } from '../ops/gradients';

/** A loss in a graph: a float32 scalar, with a gradient that is cheaper and more stable than that of its parts. */
export interface Loss {
  readonly value: Value;
  readonly region: CustomGradient;
}

/**
 * Mean cross-entropy in nats of integer classes.
 *
 *   loss = mean(log(sum_c exp(z_c)) - z_label),   d(loss)/dz = (softmax(z) - onehot(label)) / n
 *
 * logits [..., classes] float32, labels [...] int64 (for next-token losses: the token that follows each position). The labels may have a
 * trailing axis of length 1.
 */
export function crossEntropy(build: GraphBuilder, logits: Value, labels: Value): Loss {
  const shape = staticShape(logits);
  const classes = shape.at(-1) as number;
  const count = elementCount(shape.slice(0, -1));
  requireCount('Cross-entropy', logits, labels, count);
  const rows = reshaped(build, logits, [count, classes]);
  const places = reshaped(build, labels, [count, 1]);
  const logarithms = build.op('LogSoftmax', [rows], { axis: int(-1) });
  const chosen = build.op('GatherElements', [logarithms, places], { axis: int(1) });
  const value = build.op('Neg', [build.op('ReduceMean', [chosen], { keepdims: int(0) })], {}, { name: 'loss/cross_entropy' });
  return {
    value,
    region: {
      output: value,
      inputs: [logits],
      gradient: (backward, outputGradient) => {
        const scale = backward.op('Mul', [outputGradient, backward.float32(1 / count)]);
        const probabilities = backward.op('Mul', [backward.op('Exp', [logarithms]), scale]);
        const minus = backward.op('Expand', [backward.op('Neg', [scale]), backward.int64([count, 1])]);
        const difference = backward.op('ScatterElements', [probabilities, places, minus], { axis: int(1), reduction: 'add' });
        return [reshaped(backward, difference, shape)];
      },
    },
  };
}

/**
 * Mean binary cross-entropy of single logits.
 *
 *   loss = mean(max(z, 0) - z y + log(1 + exp(-|z|))),   d(loss)/dz = (sigmoid(z) - y) / n
 *
 * logits and labels have the same number of float32 values; labels are 0 or 1 (or a probability between).
 */
export function binaryCrossEntropy(build: GraphBuilder, logits: Value, labels: Value): Loss {
  const shape = staticShape(logits);
  const count = elementCount(shape);
  requireCount('Binary cross-entropy', logits, labels, count);
  const target = reshaped(build, labels, shape);
  const positive = build.op('Relu', [logits]);
  const tail = build.op('Log', [build.op('Add', [build.op('Exp', [build.op('Neg', [build.op('Abs', [logits])])]), build.float32(1)])]);
  const terms = build.op('Add', [build.op('Sub', [positive, build.op('Mul', [logits, target])]), tail]);
  const value = build.op('ReduceMean', [terms], { keepdims: int(0) }, { name: 'loss/binary' });
  return {
    value,
    region: {
      output: value,
      inputs: [logits],
      gradient: (backward, outputGradient) => {
        const scale = backward.op('Mul', [outputGradient, backward.float32(1 / count)]);
        return [backward.op('Mul', [backward.op('Sub', [backward.op('Sigmoid', [logits]), target]), scale])];
      },
    },
  };
}

/** Mean squared error: mean((x - y)^2), gradient 2 (x - y) / n. Outputs and targets have the same number of float32 values. */
export function meanSquaredError(build: GraphBuilder, outputs: Value, targets: Value): Loss {
  const shape = staticShape(outputs);
  const count = elementCount(shape);
  requireCount('The squared error', outputs, targets, count);
  const difference = build.op('Sub', [outputs, reshaped(build, targets, shape)]);
  const value = build.op('ReduceMean', [build.op('Mul', [difference, difference])], { keepdims: int(0) }, { name: 'loss/mse' });
  return {
    value,
    region: {
      output: value,
      inputs: [outputs],
      gradient: (backward, outputGradient) => [
        backward.op('Mul', [difference, backward.op('Mul', [outputGradient, backward.float32(2 / count)])]),
      ],
    },
  };
}

/**
 * Divergence of a student from a teacher, softened by a temperature T and scaled by T^2, so that its gradient has the scale of a hard
 * loss's:
 *
 *   loss = T^2 mean_rows(sum_c p_c (log p_c - log q_c)),   p = softmax(teacher / T), q = softmax(student / T)
 *   d(loss)/d(student) = T (q - p) / rows,   d(loss)/d(teacher) is omitted: the teacher is a target.
 *
 * Both are [..., classes] float32 with the same shape.
 */
export function divergence(build: GraphBuilder, student: Value, teacher: Value, temperature: number): Loss {
  const shape = staticShape(student);
  const rows = elementCount(shape.slice(0, -1));
  requireCount('The divergence', student, teacher, elementCount(shape));
  const softened = (logits: Value): Value =>
    build.op('LogSoftmax', [build.op('Mul', [logits, build.float32(1 / temperature)])], { axis: int(-1) });
  const logStudent = softened(student);
  const logTeacher = softened(teacher);
  const target = build.op('Exp', [logTeacher]);
  const terms = build.op('Mul', [target, build.op('Sub', [logTeacher, logStudent])]);
  const sum = build.op('ReduceSum', [terms], { keepdims: int(0) });
  const value = build.op('Mul', [sum, build.float32((temperature * temperature) / rows)], {}, { name: 'loss/divergence' });
  return {
    value,
    region: {
      output: value,
      inputs: [student],
      gradient: (backward, outputGradient) => {
        const scale = backward.op('Mul', [outputGradient, backward.float32(temperature / rows)]);
        return [backward.op('Mul', [backward.op('Sub', [backward.op('Exp', [logStudent]), target]), scale])];
      },
    },
  };
}

function requireCount(name: string, outputs: Value, targets: Value, count: number): void {
  const shape = staticShape(targets);
  if (elementCount(shape) === count) return;
  throw new LoomweightError(
    'invalid-argument',
    `${name} needs one target per prediction, got outputs ${formatShape(outputs.type.shape)} and targets ${formatShape(shape)}.`,
    { outputs: outputs.type.shape, targets: shape },
  );
}
