import type { CalibrateSpec } from '../../../protocol/calibration';
import type { TextModel } from '../../generate/openTextModel';
import type { WorkContext } from '../../runtime/workContext';
import type { SampleOrigin } from '../calibrationSet';

/** A sequence, and what of its origin only the source knows. */
export interface SourceSequence {
  readonly ids: readonly number[];
  /** Of each token but the first, under the model; only where the model wrote it. */
  readonly logProbabilities?: readonly number[];
  readonly origin: Pick<SampleOrigin, 'temperature' | 'topK' | 'topP' | 'repetitionPenalty'>;
}

/** What sequences are made for. */
export interface SourceRequest {
  readonly spec: CalibrateSpec;
  readonly model: TextModel;
  /** Tokens of a sequence, with the start token. */
  readonly length: number;
  readonly context: WorkContext;
}

/** Where calibration samples come from. */
export interface CalibrationSource {
  /** Whether every token takes a run of the model. */
  readonly runsModel: boolean;
  /** What the sequences are, for the report. */
  describe(request: Omit<SourceRequest, 'context'>): readonly string[];
  /** Sequences in the runtime at the same time: a function of model and length, not of the machine, because the last bits of logits depend on it. */
  batch(model: TextModel, length: number): number;
  /** Makes all sequences. Errors: `unsupported` for a model that the source cannot use. */
  sequences(request: SourceRequest): Promise<readonly SourceSequence[]>;
}
