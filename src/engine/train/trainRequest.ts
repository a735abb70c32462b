import type { TrainSpec } from '../../protocol/training';
import type { WorkContext } from '../runtime/workContext';
import type { BatchSource } from './batches';
import type { ModeChoice } from './chooseMode';
import type { Objective } from './objective';
import type { GroupSettings } from './optimizers/groups';
import type { UpdatePlanner } from './updates/updatePlanner';

/** What the trainer reads of a specification; the rest is for the code that builds objective, groups and data. */
export type TrainingLength = Pick<TrainSpec, 'steps' | 'batch' | 'clip' | 'evaluateEvery' | 'resume' | 'startOver'>;

/** What a training is given. */
export interface TrainRequest<Result> {
  readonly spec: TrainingLength;
  readonly objective: Objective<Result>;
  /** By the names that the objective's variables give; each has an optimiser, a rate and a schedule of its own. */
  readonly groups: Readonly<Record<string, GroupSettings>>;
  readonly data: BatchSource;
  readonly context: WorkContext;
  /** Where the training is kept for `resume`; undefined: nowhere. */
  readonly checkpoint?: CheckpointRequest | undefined;
  /** Loop or one run for each step, instead of a trial. */
  readonly mode?: ModeChoice['mode'];
  /** Most steps in one run, instead of as many as fill about a second. Changes no result. */
  readonly stepsPerRun?: number;
  /** Whether a run overwrites the state that it is given, instead of where the state is large. Changes no result. */
  readonly overwrite?: boolean;
  /** Convolutions with the batch as last axis, instead of what the runtime is best at. */
  readonly batchLast?: boolean;
  /** How updates are made, instead of what the runtime is best at. */
  readonly updates?: UpdatePlanner;
}

/** A checkpoint, and what tells that it belongs to the same training. */
export interface CheckpointRequest {
  /** Absolute path of its folder. */
  readonly folder: string;
  /** What the result depends on besides the seed, the values at the start and the batches: plain data. Another training's checkpoint is refused. */
  readonly settings: Readonly<Record<string, unknown>>;
}
