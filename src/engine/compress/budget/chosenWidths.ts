import type { AllocationReport } from '../../../protocol/report';
import type { CompressPlan } from '../plan';

/** A plan whose widths were chosen under a budget. */
export interface ChosenWidths {
  readonly plan: CompressPlan;
  /** Tensors that the budget leaves as they are, by name. */
  readonly leftAlone: ReadonlySet<string>;
  readonly allocation: AllocationReport;
}
