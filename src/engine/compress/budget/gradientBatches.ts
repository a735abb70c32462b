import { SeededRandom } from '../../../common/random';
import { elementCount } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import { checkSplit, sliceSamples, type DataSplit } from '../../evaluate/data/dataSplit';
import type { JobData } from '../../evaluate/data/jobData';
import type { RuntimeTensor } from '../../runtime/types';
import type { MeasureContext } from './measure';
import { sampleNote, tokenSample } from './tokenSample';

/** The calibration sample as batches of a model's inputs. */
export interface GradientBatches {
  readonly batches: readonly Readonly<Record<string, RuntimeTensor>>[];
  /** Windows or samples in each. */
  readonly batch: number;
  /** Tokens of a window; undefined for models of samples. */
  readonly window: number | undefined;
}

/** Samples of a data set, and in one batch. */
const dataSamples = 256;
export const samplesPerBatch = 16;

/** Token windows for decoders; samples of `--calibration DATA` (split `train`), or seeded random values, for ONNX models. */
export async function gradientBatches(context: MeasureContext): Promise<GradientBatches> {
  const { source, spec, note, calibration } = context;
  const seed = spec.seed ?? 0;
  if (source.decoder) {
    const { windows, length, ids } = await tokenSample(source.container, source.decoder.config, spec.calibration, seed);
    note(sampleNote({ windows, length }, spec.calibration));
    const batches = Array.from({ length: windows }, (_, window) => ({
      input_ids: { dtype: 'int64', shape: [1, length], data: ids.slice(window * length, (window + 1) * length) } as const,
    }));
    return { batches, batch: 1, window: length };
  }
  const { graph } = source.container;
  if (!graph)
    throw new LoomweightError(
      'unsupported',
      `Gradients require a graph, but ${source.container.path} has only weights. Use --sensitivity error.`,
    );
  if (calibration === undefined || spec.calibration === 'random') {
    note(`Sensitivity was measured on random inputs; --calibration with a folder of the model's own data predicts better.`);
    return { batches: randomBatches(graph.inputs, seed), batch: samplesPerBatch, window: undefined };
  }
  const split = await calibration.read('train', graph.inputs);
  checkSplit(split, graph.inputs);
  const batches = splitBatches(split, graph.inputs);
  note(`Sensitivity was measured on ${batches.length * samplesPerBatch} samples of ${split.description}.`);
  return { batches, batch: samplesPerBatch, window: undefined };
}

interface Input {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly (number | string)[];
}

function randomBatches(inputs: readonly Input[], seed: number): Record<string, RuntimeTensor>[] {
  const random = new SeededRandom(seed + 3);
  return Array.from({ length: 8 }, () =>
    Object.fromEntries(
      inputs.map(({ name, dtype, shape }) => {
        const rest = shape.slice(1);
        if (dtype !== 'float32' || rest.some((length) => typeof length === 'string'))
          throw new LoomweightError(
            'invalid-argument',
            `Random values cannot replace the input '${name}' of type ${dtype}[${shape.join(', ')}]. Use --calibration with a folder of data, or --sensitivity error.`,
            { input: name },
          );
        const own = [samplesPerBatch, ...(rest as number[])];
        const data = Float32Array.from({ length: elementCount(own) }, () => random.nextNormal());
        return [name, { dtype: 'float32', shape: own, data } as const];
      }),
    ),
  );
}

/** Batches of the split `train` of a data set, with labels, between those used for the sensitivity. */
export async function heldOutBatches(
  data: JobData,
  inputs: readonly Input[],
): Promise<readonly { readonly inputs: Readonly<Record<string, RuntimeTensor>>; readonly labels: readonly number[] }[]> {
  const split = await data.read('train', inputs);
  checkSplit(split, inputs);
  const starts = batchStarts(split.samples);
  return starts.flatMap((start, index) => {
    const free = start + samplesPerBatch;
    if (free + samplesPerBatch > (starts[index + 1] ?? split.samples)) return [];
    const labels = Array.from(split.labels.data.subarray(free, free + samplesPerBatch) as ArrayLike<number | bigint>, Number);
    return [{ inputs: batchOf(split, inputs, free), labels }];
  });
}

/** First samples of the batches that sensitivity is measured on. */
function batchStarts(samples: number): readonly number[] {
  const count = Math.floor(Math.min(dataSamples, samples) / samplesPerBatch);
  return Array.from({ length: count }, (_, batch) => Math.floor((batch * (samples - samplesPerBatch)) / Math.max(1, count - 1)));
}

function batchOf(split: DataSplit, inputs: readonly Input[], start: number): Record<string, RuntimeTensor> {
  return Object.fromEntries(inputs.map(({ name, dtype }) => [name, sliceSamples(split.inputs.get(name)!, start, samplesPerBatch, dtype)]));
}

/** Stretches of samples, spread evenly over the split. */
function splitBatches(split: DataSplit, inputs: readonly Input[]): Record<string, RuntimeTensor>[] {
  const starts = batchStarts(split.samples);
  if (starts.length === 0)
    throw new LoomweightError(
      'invalid-argument',
      `The calibration data in ${split.description} has ${split.samples} samples, but at least ${samplesPerBatch} are required.`,
      { samples: split.samples },
    );
  return starts.map((start) => batchOf(split, inputs, start));
}
