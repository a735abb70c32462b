import { elementCount } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import { sliceSamples, type DataSplit } from '../../evaluate/data/dataSplit';
import type { RuntimeTensor } from '../../runtime/types';
import type { BatchInput, BatchSource } from '../batches';
import type { LossKind } from '../loss';
import { Permutations } from './permutation';
import type { HeldOutData } from './trainingData';

/** A split with its arrays in the types that the graph takes, `label` among them. */
export interface PreparedSplit {
  readonly description: string;
  readonly samples: number;
  readonly arrays: ReadonlyMap<string, RuntimeTensor>;
}

/** Converts a split once: inputs to the graph's types, labels to int64 for classes and to float32 otherwise. Errors: `invalid-argument` for labels out of range. */
export function prepareSplit(split: DataSplit, inputs: readonly BatchInput[], loss: LossKind, classes: number): PreparedSplit {
  const arrays = new Map<string, RuntimeTensor>();
  for (const { name, dtype } of inputs) arrays.set(name, sliceSamples(split.inputs.get(name) as RuntimeTensor, 0, split.samples, dtype));
  const labels = Array.from(split.labels.data as ArrayLike<number | bigint>, Number);
  const wrong = loss === 'mse' ? -1 : labels.findIndex((label) => !isLabel(label, loss, classes));
  if (wrong >= 0)
    throw new LoomweightError(
      'invalid-argument',
      loss === 'binary'
        ? `Labels of a single logit must be 0 or 1; sample ${wrong} of ${split.description} has ${labels[wrong]}. For real-valued targets use the loss mse.`
        : `Labels must be whole numbers from 0 to ${classes - 1}, as the model has ${classes} classes; sample ${wrong} of ${split.description} has ${labels[wrong]}.`,
      { sample: wrong, label: labels[wrong], classes },
    );
  arrays.set(
    'label',
    loss === 'cross-entropy'
      ? { dtype: 'int64', shape: [split.samples], data: BigInt64Array.from(labels, BigInt) }
      : { dtype: 'float32', shape: [split.samples], data: Float32Array.from(labels) },
  );
  return { description: split.description, samples: split.samples, arrays };
}

function isLabel(label: number, loss: LossKind, classes: number): boolean {
  return loss === 'binary' ? label === 0 || label === 1 : Number.isInteger(label) && label >= 0 && label < classes;
}

/** Part of a split: the samples whose numbers are given. */
export function selectSamples(split: PreparedSplit, samples: ArrayLike<number>, description: string): PreparedSplit {
  return {
    description,
    samples: samples.length,
    arrays: new Map([...split.arrays].map(([name, array]) => [name, gatherSamples(array, Array.from(samples))])),
  };
}

/** Batches of a split: each pass over the data in a new seeded order; a batch may cross from one pass to the next. */
export function sampleBatches(split: PreparedSplit, seed: number): BatchSource {
  const order = new Permutations(split.samples, seed);
  return {
    description: split.description,
    samples: split.samples,
    batch: (step, batch) => {
      const chosen = Array.from({ length: batch }, (_, index) => order.sampleAt(step * batch + index).sample);
      return Object.fromEntries([...split.arrays].map(([name, array]) => [name, gatherSamples(array, chosen)]));
    },
  };
}

/** A split that is only evaluated. */
export function heldOutSamples(split: PreparedSplit): HeldOutData {
  return {
    description: split.description,
    samples: split.samples,
    slice: (first, count) =>
      Object.fromEntries([...split.arrays].map(([name, array]) => [name, sliceSamples(array, first, count, array.dtype)])),
  };
}

function gatherSamples({ dtype, shape, data }: RuntimeTensor, samples: readonly number[]): RuntimeTensor {
  const width = elementCount(shape.slice(1));
  const Make = data.constructor as new (length: number) => RuntimeTensor['data'];
  const target = new Make(samples.length * width);
  samples.forEach((sample, index) => {
    // Both arrays are of one type; TypeScript cannot pair them.
    (target as Float32Array).set((data as Float32Array).subarray(sample * width, (sample + 1) * width), index * width);
  });
  return { dtype, shape: [samples.length, ...shape.slice(1)], data: target };
}
