import type { CompressSpec, SensitivityMeasure } from '../../../protocol/jobs';
import type { JobData } from '../../evaluate/data/jobData';
import type { WorkContext } from '../../runtime/workContext';
import type { CompressPlan, TensorPlan } from '../plan';
import type { ModelSource } from '../../models/modelSource';
import type { TensorOption } from './options';

/** How much each weight's squared error counts. Nothing given: all alike. */
export interface Weighting {
  /** [columns]: for every row. Also steers the rounding. */
  readonly columnWeights?: Float32Array;
  /** [rows * columns]: for each weight, in place of `columnWeights`. */
  readonly elementWeights?: Float32Array;
}

/** What a measure may use. */
export interface MeasureContext extends WorkContext {
  readonly spec: CompressSpec;
  readonly source: ModelSource;
  readonly plan: CompressPlan;
  /** The data of `--calibration`, where it is given. */
  readonly calibration: JobData | undefined;
}

/** Tells how far measuring is. */
export function measuring({ progress }: Pick<MeasureContext, 'progress'>, done: number, total: number): void {
  progress({ phase: 'Measuring sensitivity', done, total, unit: 'steps' });
}

/** A tensor with its options tried. */
export interface TriedTensor {
  readonly plan: TensorPlan;
  /** [rows, columns] float32. */
  readonly weights: Float32Array;
  readonly weighting: Weighting;
  readonly options: readonly TensorOption[];
  /** Weighted squared error of each option. */
  readonly errors: readonly number[];
}

/** What a measure found out about a model. */
export interface Sensitivity {
  weightingOf(name: string): Weighting;
  /** Predicted loss of each option, in their order. */
  losses(tried: TriedTensor): Promise<readonly number[]>;
  release(): Promise<void>;
}

/** One way to predict what fewer bits cost. To add one: a file like measures/activation.ts and a line in measures/index.ts. */
export interface Measure {
  readonly id: SensitivityMeasure;
  readonly label: string;
  readonly summary: string;
  /** True if the predicted losses are nats per token or sample; otherwise they are relative numbers. */
  readonly inNats: boolean;
  /** True if only whole tensors are measured; otherwise losses are proportional to weighted errors, for any part of a tensor. */
  readonly wholeTensors?: boolean;
  /** Seconds beyond reading and rounding, and host memory, from headers alone. */
  estimate(source: ModelSource, plan: CompressPlan): { readonly seconds: number; readonly hostMemoryBytes: number };
  /** True, or why not as the end of a sentence. */
  appliesTo(source: ModelSource): true | string;
  measure(context: MeasureContext): Promise<Sensitivity>;
}
