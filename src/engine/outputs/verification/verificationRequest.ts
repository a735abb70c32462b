import type { ModelSource } from '../../models/modelSource';
import type { WeightReader } from '../../models/weightReader';
import type { WorkContext } from '../../runtime/workContext';
import type { PlannedStore } from '../planned/plannedStore';
import type { OutputWriter, WrittenOutput } from '../writers/outputWriter';

/** What a verification looks at and may use. */
export interface VerificationRequest {
  readonly source: ModelSource;
  readonly planned: PlannedStore;
  /** The temporary output folder. */
  readonly folder: string;
  readonly written: WrittenOutput;
  readonly writer: Pick<OutputWriter, 'comparing'>;
  readonly context: WorkContext;
  /** The most by which a block's output may change, relative to what the block adds to its input, from the relative errors of its weights. */
  blockErrorLimit(weightErrors: readonly number[]): number;
  /** What training made of the model, where it did: the result is judged by these values, and how far it is from the source says nothing. */
  readonly trained?: WeightReader;
}
