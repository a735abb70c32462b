import { elementCount } from '../../../../protocol/dtypes';
import { throwIfCancelled } from '../../../../protocol/errors';
import type { JobData } from '../../../evaluate/data/jobData';
import type { InputSignature } from '../../../evaluate/data/dataSplit';
import { binaryAuc, classAccuracy } from '../../../evaluate/metrics';
import { GraphBuilder } from '../../../graph/builder';
import type { Value } from '../../../graph/graph';
import { operators } from '../../../ops/index';
import type { RuntimeTensor } from '../../../runtime/types';
import { openTrainable } from '../../../train/models/openTrainable';
import { transposeMatrix } from '../../../kernels/host/transposeMatrix';
import { heldOutBatches, samplesPerBatch } from '../gradientBatches';
import type { MeasureContext } from '../measure';
import type { HeldOut } from './types';

/** Samples of the split `train` between those that gradients are measured on, scored as by `evaluate`: cross-entropy, or log loss of a single logit. */
export async function heldOutData(
  { spec, runtime, signal }: MeasureContext,
  inputs: readonly InputSignature[],
  calibration: JobData,
): Promise<HeldOut | undefined> {
  const batches = await heldOutBatches(calibration, inputs);
  if (batches.length === 0) return undefined;
  const model = await openTrainable(spec.model);
  const build = new GraphBuilder(operators, 'held_out');
  const values = Object.fromEntries(
    model.inputs(samplesPerBatch).map(({ name, dtype, shape }) => [name, build.input(name, { dtype, shape })]),
  );
  const weights = new Map<string, Value>();
  const feeds: Record<string, RuntimeTensor> = {};
  for (const { name, heldShape, initial } of model.parameters) {
    weights.set(name, build.input(weightInput(name), { dtype: 'float32', shape: heldShape }));
    feeds[weightInput(name)] = { dtype: 'float32', shape: heldShape, data: await initial() };
  }
  for (const { name, shape, initial } of model.buffers) {
    weights.set(name, build.input(weightInput(name), { dtype: 'float32', shape }));
    feeds[weightInput(name)] = { dtype: 'float32', shape, data: await initial() };
  }
  const { scores } = model.forward(build, values, (name) => weights.get(name) as Value, false);
  build.output(build.op('Identity', [scores as Value]), outputName);
  const session = await runtime.createFromGraph(build.finish(), { keep: false });
  return {
    description: `${batches.length * samplesPerBatch} held-out samples`,
    loss: async (planned) => {
      const rounded: Record<string, RuntimeTensor> = {};
      for (const { name, held, heldShape } of model.parameters) {
        const layout = planned?.entry(name)?.layout;
        if (!planned || !layout || layout.kind === 'plain') continue;
        const matrix = await planned.values(name);
        const { rows, columns } = layout;
        rounded[weightInput(name)] = {
          dtype: 'float32',
          shape: heldShape,
          data: held === 'transposed' ? transposeMatrix(matrix, rows, columns) : matrix,
        };
      }
      let metric: ReturnType<typeof binaryAuc> | undefined;
      for (const [index, { inputs: batch, labels }] of batches.entries()) {
        throwIfCancelled(signal);
        const output = (await session.run({ ...feeds, ...rounded, ...batch }, [outputName]))[outputName] as RuntimeTensor;
        const classes = elementCount(output.shape) / samplesPerBatch;
        metric ??= classes > 1 ? classAccuracy(classes) : binaryAuc();
        metric.add(output.data as Float32Array, labels, index * samplesPerBatch);
      }
      return metric!.result().loss;
    },
    release: async () => {
      await session.release();
      await model.close();
    },
  };
}

const outputName = 'held-out/output';
const weightInput = (name: string): string => `held-out/weight/${name}`;
