import { elementCount } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import { decodeToFloat32, encodeFromFloat32 } from '../../formats/decode';
import type { ModelSource } from '../../models/modelSource';
import { relativeErrorOf } from '../../outputs/planned/dequantize';
import type { PlannedStore } from '../../outputs/planned/plannedStore';
import type { PlainValues, PlannedTensor } from '../../outputs/planned/plannedTensor';
import type { CompressPlan } from '../plan';
import type { BlockPlan } from '../quantizers/quantizer';

/**
 * Puts what a method made of a block into the store: in place of each tensor that was offered one of its shape, and plain values of others. `weights`: those that were
 * offered, for the error; undefined for those offered as stored, whose errors the method returns. Gives whether the last tensor went to the store's file, so that its arrays may be used again.
 */
export async function addPlanned(
  source: ModelSource,
  store: PlannedStore,
  plan: CompressPlan,
  { planned: made, transformed, relativeErrors }: BlockPlan,
  weights: ReadonlyMap<string, Float32Array | undefined>,
): Promise<boolean> {
  let spilled = false;
  for (const [name, tensor] of made) {
    const planned = plan.get(name);
    if (planned && weights.has(name)) {
      checkShape(name, tensor, planned.tensor.shape);
      const { role } = planned.tensor;
      const { storedShape, transposed } = planned;
      const layer = { name, role, storedShape, transposed, ...(transformed?.has(name) ? { transformed: true as const } : {}) };
      ({ spilled } = await store.add(
        layer,
        tensor,
        relativeErrors?.get(name) ?? measuredError(name, tensor, transformed?.get(name) ?? weights.get(name)),
      ));
    } else ({ spilled } = await addPlain(source, store, name, tensor));
  }
  const missing = [...weights.keys()].find((name) => !made.has(name));
  if (missing !== undefined) throw mistake(missing, 'it was offered but not planned');
  return spilled;
}

function measuredError(name: string, tensor: PlannedTensor, weights: Float32Array | undefined): number {
  if (!weights) throw mistake(name, 'its method took it as stored and did not return its relative error');
  return relativeErrorOf(tensor, weights);
}

/** New values of a tensor that stays float: rounded to the type that it has, so that every writer stores the same. */
async function addPlain(
  source: ModelSource,
  store: PlannedStore,
  name: string,
  tensor: PlannedTensor,
): Promise<{ readonly spilled: boolean }> {
  const known = source.tensors.get(name);
  if (!known) throw mistake(name, `${source.container.path} has no such tensor`);
  if (tensor.kind !== 'plain') throw mistake(name, 'it was not offered, so only plain values can replace it');
  const { entry, role, transposed = false } = known;
  if (tensor.values.length !== elementCount(entry.shape))
    throw mistake(name, `it has ${elementCount(entry.shape)} values, got ${tensor.values.length}`);
  const values = decodeToFloat32(entry.dtype, encodeFromFloat32(entry.dtype, tensor.values));
  const plain: PlainValues = { kind: 'plain', dtype: entry.dtype, shape: entry.shape, values };
  return store.add({ name, role, storedShape: entry.shape, transposed }, plain, 0);
}

function checkShape(name: string, tensor: PlannedTensor, [rows, columns]: readonly [number, number]): void {
  const fits =
    tensor.kind === 'plain'
      ? tensor.values.length === rows * columns
      : tensor.kind === 'learned'
        ? tensor.tensor.levels.length === rows * columns
        : tensor.rows === rows && tensor.columns === columns;
  if (!fits) throw mistake(name, `its plan does not have shape [${rows}, ${columns}]`);
}

function mistake(name: string, what: string): LoomweightError {
  return new LoomweightError('internal', `The plan of tensor '${name}' cannot be stored: ${what}.`, { tensor: name });
}
