import type { RequestShapes } from './requestShapes';
import { nothing, numberIn, objectOf, optional, recordOf, required, text } from './requestShapes';
import type { AllocationReport, BitHistogram } from '../report';

/** What the Bit allocation panel draws: a snapshot, sent on "ready" and again whenever it changes; never a delta. */
export interface BitAllocationView {
  /** The job that the panel belongs to; the page keeps it, so that a restored panel finds its job again. */
  readonly job: string;
  readonly title: string;
  readonly model: string;
  readonly method: string;
  /** `running` while the job fills the panel layer by layer. */
  readonly status: 'running' | 'done' | 'failed';
  /** How far a running job is, from 0 to 1; absent while unknown. */
  readonly fraction?: number;
  /** What a running job is doing, with the time left; or why it failed. */
  readonly statusText?: string;
  readonly layers: readonly AllocatedLayer[];
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly bitsPerWeight: number;
  /** What was decided under a budget, so that the page can move the budget by itself. */
  readonly allocation?: AllocationReport;
  /** One sentence on how to get a budget slider, where a finished result has none. */
  readonly allocationHint?: string;
  /** True for learning jobs: there are curves to look at. */
  readonly curves: boolean;
  /** Sentences: verification, latency, what to know. */
  readonly notes: readonly string[];
}

/** One layer of the view. */
export interface AllocatedLayer {
  readonly name: string;
  readonly weights: number;
  /** Bits of a code; the mean over weights where groups of the layer differ. */
  readonly bits: number;
  readonly relativeError: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Where groups of the layer have different widths. */
  readonly histogram?: BitHistogram;
}

/** Another result to compare with the panel's own, layer by layer. */
export interface ComparedResult {
  /** Names the result to the host, which finds it again after a reload of the window. */
  readonly key: string;
  readonly title: string;
  readonly layers: readonly AllocatedLayer[];
  readonly bytesAfter: number;
  readonly bitsPerWeight: number;
  /** Predicted loss under its own budget, where it has one. */
  readonly predictedLoss?: number;
}

/** A budget as the user has set it in the panel. */
export interface BudgetChoice {
  /** Bits per weight over all compressed tensors, side information counted. */
  readonly budget: number;
  /** Width by tensor name. */
  readonly pins: Readonly<Record<string, number>>;
}

/** What the panel may ask of its host. */
export interface BitAllocationRequests {
  /** The page (re)starts. */
  ready(): Promise<BitAllocationView>;
  openReport(): Promise<void>;
  revealOutput(): Promise<void>;
  showCurves(): Promise<void>;
  /** Another result: the one with this key, or without a key the one that the user chooses. Undefined if there is none. */
  compare(request: { readonly key?: string }): Promise<ComparedResult | undefined>;
  /** Writes a recipe with this budget and opens it. */
  saveRecipe(choice: BudgetChoice): Promise<void>;
  /** Compresses the same model with this budget: folder, forecast, job. */
  compress(choice: BudgetChoice): Promise<void>;
}

/** Messages from the host to the panel. */
export interface BitAllocationEvents {
  changed: BitAllocationView;
}

const choice = objectOf({ budget: required(numberIn(0, 64)), pins: required(recordOf(numberIn(0, 64), 1_000_000)) });

/** What the requests of the panel must look like. */
export const bitAllocationShapes: RequestShapes<BitAllocationRequests> = {
  ready: nothing,
  openReport: nothing,
  revealOutput: nothing,
  showCurves: nothing,
  compare: objectOf({ key: optional(text(200)) }),
  saveRecipe: choice,
  compress: choice,
};
