import type { CalibrateSpec } from '../../../protocol/calibration';
import type { TextModel } from '../../generate/openTextModel';
import type { WorkContext } from '../../runtime/workContext';
import type { SampleOrigin } from '../calibrationSet';

/** A sequence, and what of its origin only the source knows. */
export interface SourceSequence {
  readonly ids: readonly number[];
  /** Of the last tokens, under the model; only where the model wrote them. */
  readonly logProbabilities?: readonly number[];
  readonly origin: Omit<SampleOrigin, 'source' | 'seed' | 'sequence' | 'model' | 'provider'>;
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
  /** As files and reports name it. */
  readonly name: string;
  /** What the sequences are, for the report. Errors: `unsupported` for a model that the source cannot use, `invalid-argument` for settings. */
  describe(request: Omit<SourceRequest, 'context'>): readonly string[];
  /** Tokens that take a run of the model, of sequences of that length. */
  written(request: Omit<SourceRequest, 'context'>): number;
  /** Sequences in the runtime at the same time: a function of model and length, not of the machine, because the last bits of logits depend on it. */
  batch(model: TextModel, length: number): number;
  /** Makes all sequences; fewer than wanted where a text does not fill them. */
  sequences(request: SourceRequest): Promise<readonly SourceSequence[]>;
}
