import { fileURLToPath } from 'node:url';
import type { LearnSpec } from '../../src/protocol/jobs';
import { openJobData } from '../../src/engine/evaluate/data/jobData';
import { openTrainingData } from '../../src/engine/train/data/openTrainingData';
import type { WeightMethod } from '../../src/engine/train/contract';
import { floatTraining } from '../../src/engine/train/methods/float';
import { openTrainable } from '../../src/engine/train/models/openTrainable';
import { learnSettings } from '../../src/engine/train/learnSettings';
import { modelGroups } from '../../src/engine/train/modelGroups';
import { train, type TrainingResult } from '../../src/engine/train/trainer';
import type { TrainRequest } from '../../src/engine/train/trainRequest';
import { weightObjective, type TrainedWeights } from '../../src/engine/train/weightObjective';
import type { Runtime } from '../../src/engine/runtime/types';
import type { WorkContext } from '../../src/engine/runtime/workContext';
import type { TrainableModel, TrainableParameter } from '../../src/engine/train/contract';
import { workContext } from './workContext';

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
  logitRate = 1e-2,
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
      logitRate,
    },
    { ...defaults, ...parameters },
  );
}

/** How a training of a test differs from a job's. */
export interface TrainWithOptions
  extends
    Partial<Pick<WorkContext, 'signal' | 'progress'>>,
    Partial<Pick<TrainRequest<TrainedWeights>, 'mode' | 'stepsPerRun' | 'updates' | 'overwrite'>> {
  readonly weightMethod?: WeightMethod;
  readonly checkpointFolder?: string;
  /** Parameters that are trained; the others are frozen. */
  trained?(parameter: TrainableParameter): boolean;
}

/** Opens, plans and trains. */
export async function trainWith(
  spec: LearnSpec,
  runtime: Runtime,
  options: TrainWithOptions = {},
): Promise<TrainingResult<TrainedWeights> & Pick<TrainedWeights, 'state'>> {
  const { weightMethod = floatTraining, checkpointFolder, trained, signal, progress, ...rest } = options;
  const { seed = 0, steps, batch, penalty, targetBits, halfRest = true } = spec;
  const model = await openTrainable(spec.model, {
    ...(spec.window === undefined ? {} : { window: spec.window }),
    ...(spec.start === undefined ? {} : { start: spec.start }),
    seed,
    arrays: { data: openJobData(spec) },
  });
  try {
    const data = await openTrainingData(spec, model, seed);
    const plan = await planFor(weightMethod, model, steps, spec.parameters as Record<string, number>, spec.logitRate);
    const training = await train({
      spec,
      objective: weightObjective(
        { model, plan, loss: data.loss, penalty: penalty ?? 0, steps, ...(trained ? { trained } : {}) },
        { runtime, data, batch, halfRest, targetBits, penalty },
      ),
      groups: { ...modelGroups(spec), ...plan.groups },
      data: data.train,
      context: workContext(runtime, { seed, ...(signal ? { signal } : {}), ...(progress ? { progress } : {}) }),
      checkpoint: checkpointFolder === undefined ? undefined : { folder: checkpointFolder, settings: learnSettings(spec, data) },
      ...rest,
    });
    return { ...training, state: training.result.state };
  } finally {
    await model.close();
  }
}
