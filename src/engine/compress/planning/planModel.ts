import { HostThreads } from '../../kernels/host/threads/hostThreads';
import type { WorkContext } from '../../runtime/workContext';
import { planBlocks, type BlockPlanning } from './planBlocks';
import { planTensors, type PlanningProgress } from './planTensors';

/** Plans a model into a store, in the order that the method needs: tensor after tensor on all threads of the job, or block after block on calibration text. */
export async function planModel(planning: BlockPlanning, context: WorkContext, progress: PlanningProgress): Promise<void> {
  const { source, plan, store } = planning;
  if ([...plan.values()].some(({ quantizer }) => quantizer.unit === 'block')) return planBlocks(planning, context, progress);
  const threads = new HostThreads(context.runtime.environment.threads, { note: context.note });
  try {
    await planTensors(source, plan, store, context, progress, threads);
  } finally {
    await threads.close();
  }
}
