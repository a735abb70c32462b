import { LoomweightError, throwIfCancelled } from '../../protocol/errors';
import type { LearnSpec, TrainingProgress } from '../../protocol/jobs';
import type { Runtime } from '../runtime/types';
import type { BatchInput, HostState, MethodPlan, TrainableModel } from './contract';
import type { TrainingData } from './data/trainingData';
import { chooseMode, type ModeChoice } from './chooseMode';
import { CheckpointFolder } from './checkpoint';
import { resultSettings } from './jobSettings';
import { addLoss } from './loss';
import { longestDraw } from './noisePool';
import { parameterGroups } from './optimizers/groups';
import { hostState, initialState, layOutState } from './state';
import { buildStepGraph } from './stepGraph';
import { StepRunner } from './stepRunner';
import { TrainingRun } from './trainingRun';
import { chooseUpdates } from './updates/chooseUpdates';
import type { UpdatePlanner } from './updates/updatePlanner';
import { Evaluator } from './evaluation';

/** What a training is given. */
export interface TrainOptions {
  readonly model: TrainableModel;
  readonly data: TrainingData;
  readonly plan: MethodPlan;
  readonly spec: LearnSpec;
  readonly runtime: Runtime;
  /** Where checkpoints lie; undefined: none are kept. */
  readonly checkpointFolder?: string;
  readonly signal?: AbortSignal;
  readonly progress?: (step: TrainingStepProgress) => void;
  readonly log?: (message: string) => void;
  /** Loop or one run for each step, instead of a trial. */
  readonly mode?: ModeChoice['mode'];
  /** Most steps in one run, instead of as many as fill about a second. Changes no result. */
  readonly stepsPerRun?: number;
  /** How updates are made, instead of what the runtime is best at. */
  readonly updates?: UpdatePlanner;
}

/** Progress of a training as jobs report it. */
export interface TrainingStepProgress {
  readonly phase: string;
  readonly done: number;
  readonly total: number;
  readonly unit: string;
  readonly training: TrainingProgress;
}

/** What a training has found. */
export interface TrainingResult {
  /** State of the best evaluation: parameters (held order), buffers and the method's variables. */
  readonly state: HostState;
  readonly bestStep: number;
  readonly curve: TrainingProgress['curve'];
  readonly evaluations: TrainingProgress['evaluations'];
  readonly mode: ModeChoice['mode'];
  readonly modeReason: string;
  /** Over this run's steps, without evaluations and checkpoints. */
  readonly stepsPerSecond: number;
  /** Step of the checkpoint that was gone on from. */
  readonly resumedFrom?: number;
  /** Removes the checkpoint; for when the result is safely written. */
  discardCheckpoint(): Promise<void>;
}

/**
 * Trains a model with a method. Everything is a function of the settings, the data and the step's number, so neither the length of a run nor an interruption changes
 * a bit on the same provider. Errors: `cancelled` (the checkpoint stays); `runtime` where the loss is no longer finite, naming the step and the checkpoint before it;
 * `invalid-argument` for a checkpoint of other settings; `unsupported` naming the node that cannot be differentiated.
 */
export async function train(options: TrainOptions): Promise<TrainingResult> {
  const { model, data, plan, spec, runtime } = options;
  throwIfCancelled(options.signal);
  const groups = parameterGroups(spec);
  const layout = layOutState(model, plan.variables, groups);
  const first = await initialState(layout, model, plan.variables);
  const checkpoints = options.checkpointFolder === undefined ? undefined : new CheckpointFolder(options.checkpointFolder, layout);
  const settings = resultSettings(spec, data, first);
  const resumed = spec.resume === true ? await checkpoints?.load(settings) : undefined;
  if (spec.resume === true && resumed === undefined) options.log?.('There is no checkpoint to go on from; training starts anew.');

  const choice: ModeChoice =
    options.mode === undefined ? await chooseMode(runtime) : { mode: options.mode, reason: `Asked for: ${options.mode}.` };
  const graph = buildStepGraph(
    {
      model,
      plan,
      state: layout,
      groups,
      updates: options.updates ?? (await chooseUpdates(runtime)),
      data: batchInputs(data, spec.batch),
      loss: (build, outputs, batch) => addLoss(data.loss, build, outputs, labelOf(batch)),
      steps: spec.steps,
      ...(spec.clip === undefined ? {} : { clip: spec.clip }),
      longestDraw,
    },
    choice.mode,
  );
  const runner = await StepRunner.create(runtime, graph, {
    data: data.train,
    batch: spec.batch,
    groups,
    penalty: spec.penalty ?? 0,
    seed: spec.seed ?? 0,
  });
  const evaluator = new Evaluator(runtime, { model, plan, data, batch: spec.batch, halfRest: spec.halfRest ?? true });
  try {
    const run = new TrainingRun(options, {
      layout,
      runner,
      evaluator,
      settings,
      mode: choice.mode,
      state: resumed?.state ?? first,
      ...(checkpoints ? { checkpoints } : {}),
      ...(resumed ? { resumed } : {}),
    });
    const { best, curve, evaluations, stepsPerSecond } = await run.finish();
    return {
      state: hostState(best.state),
      bestStep: best.step,
      curve,
      evaluations,
      mode: choice.mode,
      modeReason: choice.reason,
      stepsPerSecond,
      ...(resumed ? { resumedFrom: resumed.step } : {}),
      discardCheckpoint: async () => checkpoints?.discard(),
    };
  } finally {
    await evaluator.release();
    await runner.release();
  }
}

/** Names, types and shapes of what the data gives for a batch. */
function batchInputs(data: TrainingData, batch: number): readonly BatchInput[] {
  return Object.entries(data.train.batch(0, batch)).map(([name, { dtype, shape }]) => ({
    name,
    dtype: dtype as BatchInput['dtype'],
    shape,
  }));
}

function labelOf<T>(batch: Readonly<Record<string, T>>): T {
  const label = batch['label'];
  if (label !== undefined) return label;
  throw new LoomweightError('internal', "A batch for training has no 'label'.");
}
