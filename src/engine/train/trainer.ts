import { createHash } from 'node:crypto';
import { LoomweightError, throwIfCancelled } from '../../protocol/errors';
import type { TrainingProgress } from '../../protocol/training';
import { releaseArrays } from '../runtime/releaseArrays';
import type { BatchInput, BatchSource } from './batches';
import { CheckpointFolder } from './checkpoint';
import { CheckpointOwner } from './checkpointOwner';
import { refuseCheckpoint } from './refuseCheckpoint';
import { chooseMode, type ModeChoice } from './chooseMode';
import { longestDraw } from './noisePool';
import { optimizerGroups } from './optimizers/groups';
import { frozenValues, hostValues, initialState, layOutState, type StateValues } from './state';
import { buildStepGraph } from './stepGraph';
import { StepRunner } from './stepRunner';
import { TrainingRun } from './trainingRun';
import type { TrainRequest } from './trainRequest';
import { threadCounts, threadNotes } from './threadCounts';
import { chooseUpdates } from './updates/chooseUpdates';

/** What a training has found. */
export interface TrainingResult<Result> {
  /** What the objective makes of the state of the best evaluation. */
  readonly result: Result;
  readonly bestStep: number;
  readonly curve: TrainingProgress['curve'];
  readonly evaluations: TrainingProgress['evaluations'];
  readonly mode: ModeChoice['mode'];
  readonly modeReason: string;
  /** Over this run's steps, without evaluations and checkpoints. */
  readonly stepsPerSecond: number;
  /** Step of the checkpoint that was resumed. */
  readonly resumedFrom?: number;
  /** Numbers of threads with which it ran, in turn. */
  readonly threads: readonly number[];
  /** Removes the checkpoint; for when the result is safely written. */
  discardCheckpoint(): Promise<void>;
}

/**
 * Trains what an objective declares. Everything is a function of the request and the step's number, so neither the length of a run nor an interruption changes
 * a bit on the same provider. Errors: `cancelled` (the checkpoint stays); `runtime` where the loss is no longer finite, naming the step and the last good state's checkpoint;
 * `invalid-argument` for a checkpoint of other settings or one that another training is writing; `unsupported` naming the node that cannot be differentiated.
 */
export async function train<Result>(request: TrainRequest<Result>): Promise<TrainingResult<Result>> {
  const { objective, context } = request;
  throwIfCancelled(context.signal);
  const found = await runTraining(request).finally(async () => objective.release?.());
  const { best, frozen, checkpoints, ...rest } = found;
  return {
    ...rest,
    result: await objective.result(hostValues(best.state, frozen)),
    bestStep: best.step,
    discardCheckpoint: async () => {
      if (checkpoints) await discardUnlessTaken(checkpoints);
    },
  };
}

/** Runs a training as the only one that writes into its checkpoint folder. */
async function runTraining<Result>(request: TrainRequest<Result>) {
  const owner = request.checkpoint && (await CheckpointOwner.take(request.checkpoint.folder));
  try {
    return await runOwned(request, owner);
  } finally {
    await owner?.release();
  }
}

/** Removes the checkpoint, unless another training has resumed it since. */
async function discardUnlessTaken(checkpoints: CheckpointFolder): Promise<void> {
  const owner = await CheckpointOwner.take(checkpoints.folder).catch((error: unknown) => {
    if (LoomweightError.is(error, 'invalid-argument')) return undefined;
    throw error;
  });
  if (!owner) return;
  try {
    await checkpoints.discard();
  } finally {
    await owner.release();
  }
}

async function runOwned<Result>(request: TrainRequest<Result>, owner: CheckpointOwner | undefined) {
  const { spec, objective, data, context, checkpoint } = request;
  const { runtime, seed } = context;
  const groups = optimizerGroups(request.groups, spec.steps);
  const layout = layOutState(objective.variables, groups);
  const first = await initialState(layout, objective.variables);
  const frozen = await frozenValues(objective.frozen);
  const checkpoints = checkpoint && new CheckpointFolder(checkpoint.folder, layout, owner);
  const settings = checkpoint ? { ...checkpoint.settings, seed, ...startOf(first, frozen, data, spec.batch) } : {};
  if (checkpoint) await refuseCheckpoint(checkpoint.folder, spec);
  if (spec.startOver) await checkpoints?.discard();
  const resumed = spec.resume ? await checkpoints?.load(settings) : undefined;
  // Only its hash was needed.
  if (resumed !== undefined) releaseArrays(first.values(), []);
  if (spec.resume && resumed === undefined) context.note('No checkpoint to resume: training started from the beginning.');

  const threads = threadCounts(resumed, spec.steps, runtime.environment.threads);
  threadNotes(threads).forEach((note) => context.note(note));

  const choice: ModeChoice =
    request.mode === undefined ? await chooseMode(runtime) : { mode: request.mode, reason: `Requested mode: ${request.mode}.` };
  const graph = buildStepGraph(
    {
      objective,
      state: layout,
      groups,
      updates: request.updates ?? (await chooseUpdates(runtime)),
      data: batchInputs(data, spec.batch),
      clip: spec.clip,
      batchLast: request.batchLast ?? runtime.environment.provider === 'cpu',
      longestDraw,
    },
    choice.mode,
  );
  const runner = await StepRunner.create(runtime, graph, {
    data,
    batch: spec.batch,
    groups,
    scalars: (step) => objective.scalars?.(step) ?? {},
    frozen,
    seed,
  });
  try {
    const run = new TrainingRun(request, {
      layout,
      runner,
      settings,
      frozen,
      checkpoints,
      mode: choice.mode,
      state: resumed?.state ?? first,
      resumed,
      threads,
    });
    const ended = await run.finish();
    return {
      ...ended,
      frozen,
      checkpoints,
      threads,
      mode: choice.mode,
      modeReason: choice.reason,
      ...(resumed ? { resumedFrom: resumed.step } : {}),
    };
  } finally {
    await runner.release();
  }
}

/** Names, types and shapes of what the data gives for a batch. */
function batchInputs(data: BatchSource, batch: number): readonly BatchInput[] {
  return Object.entries(data.batch(0, batch)).map(([name, { dtype, shape }]) => ({
    name,
    dtype: dtype as BatchInput['dtype'],
    shape,
  }));
}

/** Hashes of what a training starts from: a checkpoint is resumed only for the same training. */
function startOf(first: StateValues, frozen: StateValues, data: BatchSource, batch: number): Readonly<Record<string, unknown>> {
  return {
    startWeights: hashOf([...first.values(), ...frozen.values()]),
    trainingData: hashOf(Object.values(data.batch(0, batch)).map((tensor) => tensor.data)),
    trainingSamples: data.samples,
  };
}

/** The first 16 hexadecimal digits of the SHA-256 of all bytes. */
export function hashOf(arrays: Iterable<ArrayBufferView>): string {
  const hash = createHash('sha256');
  for (const { buffer, byteOffset, byteLength } of arrays) hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  return hash.digest('hex').slice(0, 16);
}
