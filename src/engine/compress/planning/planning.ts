import type { HostThreads } from '../../kernels/host/threads/hostThreads';
import type { ModelSource } from '../../models/modelSource';
import type { PlannedStore } from '../../outputs/planned/plannedStore';
import type { CompressPlan } from '../plan';

/** What planning is given. */
export interface Planning {
  readonly source: ModelSource;
  readonly plan: CompressPlan;
  readonly store: PlannedStore;
  /** A text, or `random`: what runs through the blocks. Default: random tokens, with a note. */
  readonly calibration: string | undefined;
  /** Windows, and tokens of a window; defaults: `calibrationSize`. */
  readonly samples?: number | undefined;
  readonly window?: number | undefined;
  /** Folder for temporary files: the job's own. */
  readonly folder: string;
  /** Threads of the job. */
  readonly threads: HostThreads;
}

/** Called after each tensor with the number of tensors planned so far. */
export type PlanningProgress = (done: number, name: string) => void;
