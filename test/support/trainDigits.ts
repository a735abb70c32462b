import { fileURLToPath } from 'node:url';
import type { LearnSpec } from '../../src/protocol/jobs';
import { openTrainingData } from '../../src/engine/train/data/openTrainingData';
import type { WeightMethod } from '../../src/engine/train/contract';
import { floatTraining } from '../../src/engine/train/methods/float';
import { openTrainable } from '../../src/engine/train/models/openTrainable';
import { train, type TrainOptions, type TrainingResult } from '../../src/engine/train/trainer';
import type { Runtime } from '../../src/engine/runtime/types';
import type { TrainableModel } from '../../src/engine/train/contract';

/** Path of a fixture. */
export const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

/** A job on digits-mlp with Adam; parts are replaced by what is given. */
export function digitsSpec(changes: Partial<LearnSpec> = {}): LearnSpec {
  return {
    kind: 'learn',
    model: fixture('../../media/samples/digits/digits-mlp.onnx'),
    data: fixture('../../media/samples/digits/data'),
    method: 'float',
    parameters: {},
    steps: 200,
    batch: 32,
    rate: 3e-3,
    logitRate: 1e-2,
    optimizer: 'adam',
    schedule: 'constant',
    loss: 'auto',
    start: 'scratch',
    seed: 1,
    halfRest: false,
    formats: ['onnx'],
    out: 'unused',
    ...changes,
  };
}

/** Plans a method for a model with its default parameters. */
export async function planFor(
  method: WeightMethod,
  model: TrainableModel,
  steps: number,
  parameters: Readonly<Record<string, number | string | boolean>> = {},
) {
  const values = new Map<string, Float32Array>();
  for (const { name, initial } of model.parameters) values.set(name, await initial());
  const defaults = Object.fromEntries(method.parameters.map((parameter) => [parameter.key, parameter.default]));
  return method.plan(
    {
      parameters: model.parameters,
      initial: (name) => values.get(name) as Float32Array,
      exclude: [],
      minimumSize: 0,
      halfRest: false,
      steps,
    },
    { ...defaults, ...parameters },
  );
}

/** Opens, plans and trains. */
export async function trainWith(
  spec: LearnSpec,
  runtime: Runtime,
  options: Partial<TrainOptions> & { readonly weightMethod?: WeightMethod } = {},
): Promise<TrainingResult> {
  const { weightMethod = floatTraining, ...rest } = options;
  const model = await openTrainable(spec.model, {
    ...(spec.window === undefined ? {} : { window: spec.window }),
    ...(spec.start === undefined ? {} : { start: spec.start }),
    seed: spec.seed ?? 0,
    arrays: { data: spec.data, ...(spec.columns === undefined ? {} : { columns: spec.columns }) },
  });
  try {
    const data = await openTrainingData(spec, model);
    return await train({
      model,
      data,
      plan: await planFor(weightMethod, model, spec.steps, spec.parameters as Record<string, number>),
      spec,
      runtime,
      ...rest,
    });
  } finally {
    await model.close();
  }
}
