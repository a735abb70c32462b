import type { AllocationReport } from '../../../protocol/report';
import type { CompressPlan } from '../plan';

/** A choice of widths that can be planned and measured. */
export interface MeasurableChoice {
  readonly plan: CompressPlan;
  readonly bitsPerWeight: number;
}

/** A plan whose widths were chosen under a budget. */
export interface ChosenWidths extends MeasurableChoice {
  /** Tensors that the budget keeps unchanged, by name. */
  readonly leftAlone: ReadonlySet<string>;
  /** With the predicted curve; measured points are added once the plan is made. */
  readonly allocation: AllocationReport;
  /** The choice for another budget; undefined below the smallest possible. */
  at(bitsPerWeight: number): MeasurableChoice | undefined;
}
