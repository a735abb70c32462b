import { LoomweightError } from '../../../protocol/errors';
import type { TrainSpec } from '../../../protocol/training';
import { checkSplit, type DataSplit, type InputSignature } from '../../evaluate/data/dataSplit';
import { openJobData, type JobData } from '../../evaluate/data/jobData';
import { chooseLoss, outputShapes } from '../loss';
import type { OpenTrainable } from '../models/graphTrainable';
import { PoolRandom } from '../poolRandom';
import { shuffled } from './permutation';
import { heldOutSamples, prepareSplit, sampleBatches, selectSamples } from './sampleBatches';
import { openTextData } from './textData';
import type { TrainingData } from './trainingData';

/** What tells data apart, and what it is for. */
export type DataSpec = Pick<TrainSpec, 'data' | 'columns' | 'loss' | 'validation'>;

/** Share of the samples that is held out where a data set has no split for it. */
const heldOutShare = 10;

/**
 * Opens what a job trains on and what it is judged by. Folders of NumPy files and tables have splits `train` and `val`; without `val` a tenth of the
 * training samples (seeded) is held out. Text for language models: see `openTextData`.
 * Errors: `not-found`, `malformed-file`; `invalid-argument` with both shapes where data does not fit the model's inputs, or the loss not the labels.
 */
export async function openTrainingData(
  spec: DataSpec,
  model: OpenTrainable,
  seed: number,
  source: JobData = openJobData(spec),
): Promise<TrainingData> {
  if (model.kind === 'text') return openTextData(spec, model, seed);
  const signatures: readonly InputSignature[] = model
    .inputs(1)
    .map(({ name, dtype, shape }) => ({ name, dtype, shape: ['batch', ...shape.slice(1)] }));
  const train = await source.read('train', signatures);
  checkSplit(train, signatures);
  checkFinite(train);
  const validationSplit = (await source.has('val')) ? await source.read('val', signatures) : undefined;
  const output = firstOutput(model);
  const loss = chooseLoss(spec.loss, output, { integers: hasWholeLabels(train), description: train.description });
  const classes = output.at(-1) as number;
  const inputs = model.inputs(1);
  const prepared = prepareSplit(train, inputs, loss, classes);
  if (validationSplit !== undefined && validationSplit.samples > 0) {
    checkSplit(validationSplit, signatures);
    checkFinite(validationSplit);
    const validation = prepareSplit(validationSplit, inputs, loss, classes);
    return {
      kind: 'labels',
      loss,
      train: sampleBatches(prepared, seed),
      evaluation: heldOutSamples(validation),
      choices: [`trained on ${prepared.samples} samples of 'train', validated on ${validation.samples} of 'val'`],
    };
  }
  const held = Math.floor(prepared.samples / heldOutShare);
  if (held === 0)
    throw new LoomweightError(
      'invalid-argument',
      `Without a split 'val', training needs at least ${heldOutShare} samples, but ${prepared.description} has ${prepared.samples}.`,
      { samples: prepared.samples },
    );
  const order = shuffled(prepared.samples, new PoolRandom(seed, prepared.samples, 0x4e1d));
  return {
    kind: 'labels',
    loss,
    train: sampleBatches(selectSamples(prepared, order.subarray(held), `${prepared.description}, without ${held} held out`), seed),
    evaluation: heldOutSamples(
      selectSamples(prepared, order.subarray(0, held).sort(), `${held} samples of ${prepared.description}, held out`),
    ),
    choices: [`no split 'val': ${held} of ${prepared.samples} samples, chosen by the seed, are held out`],
  };
}

function firstOutput(model: OpenTrainable): readonly number[] {
  const [first] = outputShapes(model).values();
  if (first) return first;
  throw new LoomweightError('unsupported', `'${model.name}' has no output, so nothing can be trained.`);
}

/** One value that is not finite makes every weight NaN at the step that meets it. float16 is checked in its stored form: an exponent of ones. */
function checkFinite({ description, samples, inputs, labels }: DataSplit): void {
  for (const [name, { dtype, data }] of [...inputs, ['label', labels] as const]) {
    if (!dtype.startsWith('float')) continue;
    const half = dtype === 'float16';
    const values = data as Float32Array;
    for (let index = 0; index < values.length; index += 1) {
      const value = values[index] as number;
      if (half ? (value & 0x7c00) !== 0x7c00 : Number.isFinite(value)) continue;
      const sample = Math.floor(index / Math.max(1, values.length / Math.max(1, samples)));
      throw new LoomweightError(
        'invalid-argument',
        `Training needs finite numbers; '${name}' of sample ${sample} of ${description} contains NaN or infinity. Replace the value, or remove the sample.`,
        { input: name, sample },
      );
    }
  }
}

function hasWholeLabels({ labels }: DataSplit): boolean {
  return Array.from(labels.data as ArrayLike<number | bigint>, Number).every(Number.isInteger);
}
