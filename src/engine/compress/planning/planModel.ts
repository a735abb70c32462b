import type { WorkContext } from '../../runtime/workContext';
import { planBlocks } from './planBlocks';
import type { Planning, PlanningProgress } from './planning';
import { planTensors } from './planTensors';

/** Plans a model into a store, in the order that the method needs: tensor after tensor, or block after block on calibration text. */
export async function planModel(planning: Planning, context: WorkContext, progress: PlanningProgress): Promise<void> {
  const byBlocks = [...planning.plan.values()].some(({ quantizer }) => quantizer.unit === 'block');
  await (byBlocks ? planBlocks : planTensors)(planning, context, progress);
}
