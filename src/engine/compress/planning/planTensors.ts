import { throwIfCancelled } from '../../../protocol/errors';
import { hostProducts } from '../../kernels/host/secondOrder/subtractProduct';
import { ReusedBuffer } from '../../kernels/host/reusedBuffer';
import { sharedBytes, sharedFloat32 } from '../../kernels/host/threads/sharedMemory';
import type { TaskContext } from '../../runtime/workContext';
import type { TensorPlan } from '../plan';
import type { OfferedTensor } from '../quantizers/quantizer';
import { addPlanned } from './addPlanned';
import type { Planning, PlanningProgress } from './planning';
import { SourceReader, storedValues } from './sourceReader';

/**
 * Plans every tensor of a plan whose method takes one tensor after the other, in the order of the plan, into a store. Errors: those of the method (`malformed-file`,
 * `invalid-argument`) and `cancelled`.
 */
export async function planTensors(
  { source, plan, store, threads }: Pick<Planning, 'source' | 'plan' | 'store' | 'threads'>,
  { signal, note }: Pick<TaskContext, 'signal' | 'note'>,
  progress: PlanningProgress = () => undefined,
): Promise<void> {
  // Threads work on weights and codes where they are; what is planned stays in the memory of the codes.
  const shared = threads.parallel;
  const reader = new SourceReader(source, [...plan.keys()], shared ? sharedFloat32 : undefined);
  // Lent again and again while planned tensors go to the store's file.
  const spare = new ReusedBuffer((length) => (shared ? sharedBytes(length) : new Uint8Array(length)));
  let spilling = false;
  const codesFor = (length: number) => (spilling ? { codes: spare.take(length) } : shared ? { codes: sharedBytes(length) } : {});
  let done = 0;
  try {
    for (const [name, planned] of plan) {
      throwIfCancelled(signal);
      const { quantizer, tensor, transposed, groupBits } = planned;
      const asStored = transposed && quantizer.takesStoredOrder === true && !groupBits;
      const weights = asStored ? await reader.stored(name) : await reader.matrix(tensor);
      const made = await quantizer.planBlock({
        tensors: [{ ...offerOf(planned), weights, ...(asStored ? { transposed: true } : {}), ...codesFor(weights.length) }],
        statisticsOf: () => undefined,
        read: (other) => storedValues(source, other),
        signal,
        note,
        products: hostProducts,
        threads,
      });
      spilling = await addPlanned(source, store, plan, made, new Map([[name, asStored ? undefined : weights]]));
      progress((done += 1), name);
    }
  } finally {
    await reader.close();
  }
}

/** What a method is told of a tensor besides its weights. */
export function offerOf({ tensor, parameters, importance, groupBits }: TensorPlan): Omit<OfferedTensor, 'weights'> {
  return { tensor, parameters, ...(importance ? { importance } : {}), ...(groupBits ? { groupBits } : {}) };
}
