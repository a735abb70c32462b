import type { LearnSpec } from '../../src/protocol/jobs';
import type { Runtime, RuntimeTensor, SessionOptions } from '../../src/engine/runtime/types';
import type { TrainableParameter } from '../../src/engine/train/contract';
import type { LossKind } from '../../src/engine/train/loss';
import { modelGroups } from '../../src/engine/train/modelGroups';
import { planMethod } from '../../src/engine/train/planMethod';
import type { OpenTrainable } from '../../src/engine/train/models/graphTrainable';
import { longestDraw } from '../../src/engine/train/noisePool';
import { optimizerGroups } from '../../src/engine/train/optimizers/groups';
import { frozenValues, initialState, layOutState, type StateValues } from '../../src/engine/train/state';
import { buildStepGraph } from '../../src/engine/train/stepGraph';
import { StepRunner } from '../../src/engine/train/stepRunner';
import type { UpdatePlanner } from '../../src/engine/train/updates/updatePlanner';
import { weightSteps } from '../../src/engine/train/weightObjective';

/** A training of one fixed batch, without evaluations. */
export interface FixedBatchTraining {
  readonly model: OpenTrainable;
  readonly method: string;
  readonly parameters: Readonly<Record<string, number | string | boolean>>;
  /** Inputs of the model and `label`. */
  readonly batch: Readonly<Record<string, RuntimeTensor>>;
  readonly loss: LossKind;
  readonly updates: UpdatePlanner;
  readonly runtime: Runtime;
  readonly penalty?: number;
  readonly rate?: number;
  readonly logitRate?: number;
  readonly optimizer?: LearnSpec['optimizer'];
  readonly weightDecay?: number;
  readonly momentum?: number;
  readonly clip?: number;
  /** Parameters that are trained; the others are frozen. */
  trained?(parameter: TrainableParameter): boolean;
  /** Default: as on a processor. */
  readonly batchLast?: boolean;
  readonly options?: Pick<SessionOptions, 'profile'>;
}

/** The product's own runner of training steps for it, and the state to start from. */
export async function stepRunnerFor(training: FixedBatchTraining): Promise<{ readonly runner: StepRunner; readonly state: StateValues }> {
  const { model, method, batch, updates, runtime, penalty = 0, clip, options, loss } = training;
  const steps = 1_000_000;
  const plan = await planMethod(
    {
      method,
      parameters: training.parameters,
      steps,
      ...(method === 'float' ? {} : { penalty }),
      minimumSize: 0,
      logitRate: training.logitRate ?? 1e-3,
    },
    model,
  );
  const own = modelGroups({
    optimizer: training.optimizer ?? 'adam',
    rate: training.rate ?? 1e-4,
    schedule: 'constant',
    ...(training.weightDecay === undefined ? {} : { weightDecay: training.weightDecay }),
    ...(training.momentum === undefined ? {} : { momentum: training.momentum }),
  });
  const groups = optimizerGroups({ ...own, ...plan.groups }, steps);
  const objective = weightSteps({ model, plan, loss, penalty, steps, ...(training.trained ? { trained: training.trained } : {}) });
  const layout = layOutState(objective.variables, groups);
  const graph = buildStepGraph(
    {
      objective,
      state: layout,
      groups,
      updates,
      data: Object.entries(batch).map(([name, { dtype, shape }]) => ({ name, dtype: dtype as 'float32', shape })),
      clip,
      batchLast: training.batchLast ?? true,
      longestDraw,
    },
    'loop',
  );
  const samples = Object.values(batch)[0]?.shape[0] ?? 1;
  const data = { description: 'one batch', samples, batch: () => batch };
  const frozen = await frozenValues(objective.frozen);
  const scalars = (step: number) => objective.scalars?.(step) ?? {};
  const runner = await StepRunner.create(runtime, graph, { data, batch: samples, groups, scalars, frozen, seed: 1 }, options);
  return { runner, state: await initialState(layout, objective.variables) };
}
