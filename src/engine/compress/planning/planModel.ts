import type { WorkContext } from '../../runtime/workContext';
import { planBlocks, type BlockPlanning } from './planBlocks';
import { planTensors, type PlanningProgress } from './planTensors';

/** Plans a model into a store, in the order that the method needs: tensor after tensor, or block after block on calibration text. */
export function planModel(planning: BlockPlanning, context: WorkContext, progress: PlanningProgress): Promise<void> {
  const { source, plan, store } = planning;
  const byBlock = [...plan.values()].some(({ quantizer }) => quantizer.unit === 'block');
  return byBlock ? planBlocks(planning, context, progress) : planTensors(source, plan, store, context, progress);
}
