import { elementCount, floatDTypes } from '../../protocol/dtypes';
import type { ModelSource, SourceTensor } from '../models/modelSource';

/** How many tensors an error names. */
const most = 5;

/** Why nothing is left to compress: a reason for each of the largest tensors that were asked for, as sentences. `refusals`: why the method refuses a tensor, by its name. */
export function leftOut(source: ModelSource, wanted: (name: string) => boolean, refusals: ReadonlyMap<string, string>): string {
  const tensors = [...source.tensors].sort(([, a], [, b]) => elementCount(b.entry.shape) - elementCount(a.entry.shape));
  const reasons = tensors.flatMap(([name, tensor]) => {
    if (refusals.has(name)) return [];
    const reason = reasonOf(source, name, tensor, wanted(name));
    return reason === undefined ? [] : [`${name} [${tensor.entry.shape.join(', ')}]: ${reason}`];
  });
  const all = [...sentencesOf(refusals), ...reasons];
  if (all.length === 0) return 'It has no float tensor with two or more axes.';
  const more = all.length - most;
  return `The largest: ${all.slice(0, most).join('; ')}${more > 0 ? `; and ${more} more` : ''}.`;
}

/** Refusals by a method, a sentence for each tensor. */
export function sentencesOf(refusals: ReadonlyMap<string, string>): readonly string[] {
  return [...refusals].map(([name, why]) => `${name}: ${why}`);
}

function reasonOf(source: ModelSource, name: string, { entry, role, fixed }: SourceTensor, isWanted: boolean): string | undefined {
  const isMatrix = entry.shape.length >= 2 && elementCount(entry.shape) > 0;
  if (!floatDTypes.includes(entry.dtype)) return isMatrix && elementCount(entry.shape) >= 64 ? `its type is ${entry.dtype}` : undefined;
  if (!isMatrix) return undefined;
  if (!isWanted) return 'its name does not match --tensors';
  if (fixed) return `its values are those of a ${fixed}, which is compressed if --tensors names it`;
  if (role === 'embedding') return 'it is an embedding, which is compressed with --embeddings';
  if (role === 'head') return 'it is the output layer, which is compressed with --head';
  return source.reasons?.get(name) ?? `its role is ${role}`;
}
