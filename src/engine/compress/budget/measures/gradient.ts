import { SeededRandom } from '../../../../common/random';
import { formatBytes } from '../../../../common/units';
import { elementCount } from '../../../../protocol/dtypes';
import { LoomweightError, throwIfCancelled } from '../../../../protocol/errors';
import type { RuntimeTensor } from '../../../runtime/types';
import type { OpenTrainable } from '../../../train/models/graphTrainable';
import { openTrainable } from '../../../train/models/openTrainable';
import { transposeMatrix } from '../../../kernels/host/transposeMatrix';
import type { ModelSource } from '../../../models/modelSource';
import { drawLabels } from '../drawLabels';
import { gradientBatches } from '../gradientBatches';
import { gradientGraph, gradientValue, labelValue, outputValue, weightValue } from '../gradientGraph';
import { measuring, type Measure, type MeasureContext } from '../measure';
import { weightOfColumns } from '../optionErrors';

/** Labels drawn for each batch of the sample. */
const draws = 2;

/**
 * Second order of the loss in the weights' errors, with the diagonal of the Fisher information in place of the Hessian:
 *   loss = 1/2 * sum(F * error^2),  F = n * mean over runs of g^2
 * where g is the gradient of the mean loss of n labels drawn from the model's own outputs, so that gradients of different labels are uncorrelated.
 * Nats a token or sample. Works for every model that can be differentiated.
 */
export const gradient: Measure = {
  id: 'gradient',
  label: 'Gradients',
  summary:
    "Predicted increase of the loss, from squared gradients of the model's own predictions. Needs a few backward passes over the calibration sample.",
  inNats: true,
  estimate: (source) => {
    const weights = weightsOf(source);
    // Weights, gradients and their squares, and the activations of a batch, as float32.
    return { seconds: 2 + (6 * draws * 1024 * weights) / 8e9, hostMemoryBytes: 250e6 + 16 * weights };
  },
  appliesTo: () => true,
  measure: async (context) => {
    const fisher = await fisherDiagonal(context);
    return {
      weightingOf: (name) => {
        const elementWeights = fisher.get(name);
        const planned = context.plan.get(name);
        return elementWeights && planned ? { elementWeights, columnWeights: weightOfColumns(elementWeights, planned.tensor.shape[1]) } : {};
      },
      losses: async ({ errors }) => errors.map((squares) => squares / 2),
      release: async () => undefined,
    };
  },
};

function weightsOf(source: ModelSource): number {
  return [...source.tensors.values()].reduce((sum, { entry }) => sum + elementCount(entry.shape), 0);
}

/** By tensor of the plan, [rows * columns] in the order of the plan. */
async function fisherDiagonal(context: MeasureContext): Promise<ReadonlyMap<string, Float32Array>> {
  const { source, spec, memoryLimit } = context;
  const needed = gradient.estimate(source, context.plan).hostMemoryBytes;
  if (memoryLimit !== undefined && needed > memoryLimit)
    throw new LoomweightError(
      'insufficient-memory',
      `Measuring gradients needs about ${formatBytes(needed)}, but the limit is ${formatBytes(memoryLimit)}. Raise --max-memory, or use --sensitivity activation or error.`,
      { needed, limit: memoryLimit, shortfall: needed - memoryLimit },
    );
  const { batches, batch, window } = await gradientBatches(context);
  const model = await openTrainable(spec.model, {
    ...(window === undefined ? {} : { window }),
    arrays: { shapes: new Map(Object.entries(batches[0] ?? {}).map(([name, { shape }]) => [name, shape])) },
  });
  try {
    return await sumSquares(context, model, batches, batch);
  } finally {
    await model.close();
  }
}

async function sumSquares(
  context: MeasureContext,
  model: OpenTrainable,
  batches: readonly Readonly<Record<string, RuntimeTensor>>[],
  batch: number,
): Promise<ReadonlyMap<string, Float32Array>> {
  const { plan, runtime, signal, spec } = context;
  const wanted = model.parameters.filter(({ name, used }) => used && plan.has(name));
  const { graph, labels, classes } = gradientGraph(
    model,
    batch,
    wanted.map(({ name }) => name),
  );
  const feeds: Record<string, RuntimeTensor> = {};
  for (const { name, heldShape, initial } of model.parameters)
    feeds[weightValue(name)] = { dtype: 'float32', shape: heldShape, data: await initial() };
  for (const { name, shape, initial } of model.buffers) feeds[weightValue(name)] = { dtype: 'float32', shape, data: await initial() };
  const random = new SeededRandom((spec.seed ?? 0) + 7);
  const sums = new Map(wanted.map(({ name, shape }) => [name, new Float32Array(elementCount(shape))] as const));
  const session = await runtime.createFromGraph(graph, { keep: false });
  const someLabels: RuntimeTensor =
    classes === 1
      ? { dtype: 'float32', shape: [labels], data: new Float32Array(labels) }
      : { dtype: 'int64', shape: [labels], data: new BigInt64Array(labels) };
  const runs = batches.length * draws;
  try {
    for (const [index, inputs] of batches.entries()) {
      throwIfCancelled(signal);
      const outputs = await session.run({ ...feeds, ...inputs, [labelValue]: someLabels }, [outputValue]);
      const logits = (outputs[outputValue] as RuntimeTensor).data.slice() as Float32Array;
      for (let draw = 0; draw < draws; draw += 1) {
        measuring(context, index * draws + draw, runs);
        const label = drawLabels(logits, classes, random);
        const names = graph.outputs.map(({ name }) => name).filter((name) => name !== outputValue);
        const results = await session.run({ ...feeds, ...inputs, [labelValue]: label }, names);
        for (const [name, sum] of sums) addSquares(sum, results[gradientValue(name)]?.data as Float32Array | undefined, labels / runs);
      }
    }
  } finally {
    await session.release();
  }
  const fisher = new Map<string, Float32Array>();
  for (const { name, held, heldShape } of wanted) {
    const sum = sums.get(name) as Float32Array;
    fisher.set(name, held === 'transposed' ? transposeMatrix(sum, heldShape[0] as number, heldShape[1] as number) : sum);
  }
  return fisher;
}

function addSquares(sum: Float32Array, values: Float32Array | undefined, factor: number): void {
  if (!values) return;
  for (let index = 0; index < sum.length; index += 1) {
    const value = values[index] as number;
    sum[index] = (sum[index] as number) + factor * value * value;
  }
}
