import type { JobProgress } from '../../protocol/jobs';
import type { Runtime } from '../runtime/types';

/** How an evaluation reports and stops. Progress is a snapshot; whoever gets it limits the rate. */
export interface EvaluateProgress {
  readonly progress?: ((step: Pick<JobProgress, 'phase' | 'done' | 'total' | 'unit'>) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What an evaluation may use. */
export interface EvaluateContext extends EvaluateProgress {
  readonly runtime: Runtime;
  /** Host memory of the whole process in bytes; undefined means what is free. */
  readonly memoryLimit?: number | undefined;
}
