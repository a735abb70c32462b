import type { ModelSource } from '../../models/modelSource';
import type { PlannedStore } from '../../outputs/planned/plannedStore';
import type { WorkContext } from '../../runtime/workContext';
import type { CompressPlan } from '../plan';
import { planTensors, type PlanningProgress } from './planTensors';

/** Plans a model into a store, in the order that the method needs. */
export function planModel(
  source: ModelSource,
  plan: CompressPlan,
  store: PlannedStore,
  context: WorkContext,
  progress: PlanningProgress,
): Promise<void> {
  return planTensors(source, plan, store, context, progress);
}
