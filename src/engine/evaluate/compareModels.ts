import { elementCount, type DType } from '../../protocol/dtypes';
import { throwIfCancelled } from '../../protocol/errors';
import type { CompareReport, TensorComparison } from '../../protocol/report';
import { globMatcher } from '../../common/glob';
import { decodeToFloat32, isDecodable } from '../formats/decode';
import type { TensorContainer, TensorEntry } from '../formats/container';
import { blockAlignedChunk } from '../formats/chunks';
import type { TaskContext } from '../runtime/workContext';

/** Elements read of each model at a time: 2 x 4 MiB as float32, whatever the tensor's size. */
const chunkElements = 1 << 20;

/**
 * Compares two models tensor by tensor, by name: equal bytes or values, cosine, signal to noise in dB, largest and relative
 * error. Memory stays at a few chunks, whatever the tensors' size. Sums are kept in float64.
 *
 *   sqnr = 10 log10(sum a^2 / sum (a - b)^2),   relative error = sqrt(sum (a - b)^2 / sum a^2),   a of the first model
 *
 * Types may differ (float16 against float32): values are compared then. A tensor with values that are not finite in
 * either model is reported as changed, with a note, unless its bytes are equal.
 */
export async function compareContainers(
  first: TensorContainer,
  second: TensorContainer,
  options: { readonly tensors?: string },
  context: Pick<TaskContext, 'signal' | 'progress'>,
): Promise<Pick<CompareReport, 'equal' | 'changed' | 'missing' | 'tensors'>> {
  const matches = options.tensors === undefined ? () => true : globMatcher(options.tensors);
  const names = [...new Set([...first.tensors.keys(), ...second.tensors.keys()])].filter(matches);
  const tensors: TensorComparison[] = [];
  for (const [index, name] of names.entries()) {
    throwIfCancelled(context.signal);
    context.progress({ phase: 'Comparing tensors', done: index, total: names.length, unit: 'tensors' });
    tensors.push(await compareTensor(first, second, name, context.signal));
  }
  context.progress({ phase: 'Comparing tensors', done: names.length, total: names.length, unit: 'tensors' });
  const count = (...statuses: readonly TensorComparison['status'][]) => tensors.filter(({ status }) => statuses.includes(status)).length;
  return { equal: count('equal'), changed: count('changed'), missing: count('only-in-first', 'only-in-second', 'shape-differs'), tensors };
}

async function compareTensor(
  first: TensorContainer,
  second: TensorContainer,
  name: string,
  signal: AbortSignal | undefined,
): Promise<TensorComparison> {
  const a = first.tensors.get(name);
  const b = second.tensors.get(name);
  if (!b) return { name, status: 'only-in-first' };
  if (!a) return { name, status: 'only-in-second' };
  if (a.shape.join() !== b.shape.join())
    return { name, status: 'shape-differs', note: `[${a.shape.join(', ')}] against [${b.shape.join(', ')}]` };
  if (!isDecodable(a.dtype) || !isDecodable(b.dtype)) return compareRaw(first, second, a, b, signal);
  return compareValues(first, second, a, b, signal);
}

/** Types whose values are not numbers here: only equality of bytes can be told. */
async function compareRaw(
  first: TensorContainer,
  second: TensorContainer,
  a: TensorEntry,
  b: TensorEntry,
  signal: AbortSignal | undefined,
): Promise<TensorComparison> {
  const note = `values of type ${a.dtype === b.dtype ? a.dtype : `${a.dtype} and ${b.dtype}`} are compared as bytes`;
  if (a.dtype !== b.dtype || a.bytes !== b.bytes) return { name: a.name, status: 'changed', note };
  for (let offset = 0; offset < a.bytes; offset += chunkElements) {
    throwIfCancelled(signal);
    const range = { offset, length: Math.min(chunkElements, a.bytes - offset) };
    const [left, right] = await Promise.all([first.read(a.name, range), second.read(b.name, range)]);
    if (Buffer.compare(left, right) !== 0) return { name: a.name, status: 'changed', note };
  }
  return { name: a.name, status: 'equal', note };
}

async function compareValues(
  first: TensorContainer,
  second: TensorContainer,
  a: TensorEntry,
  b: TensorEntry,
  signal: AbortSignal | undefined,
): Promise<TensorComparison> {
  const total = elementCount(a.shape);
  const sums = { aa: 0, bb: 0, ab: 0, dd: 0, largest: 0, notFinite: 0, different: false };
  const readA = chunkReader(first, a);
  const readB = chunkReader(second, b);
  for (let start = 0; start < total; start += chunkElements) {
    throwIfCancelled(signal);
    const count = Math.min(chunkElements, total - start);
    accumulate(await readA(start, count), await readB(start, count), sums);
  }
  if (!sums.different) return { name: a.name, status: 'equal' };
  const finite = sums.notFinite === 0;
  return {
    name: a.name,
    status: 'changed',
    ...(sums.aa > 0 && sums.bb > 0 ? { cosine: Math.min(1, Math.max(-1, sums.ab / Math.sqrt(sums.aa * sums.bb))) } : {}),
    ...(sums.aa > 0 && sums.dd > 0 ? { sqnr: 10 * Math.log10(sums.aa / sums.dd), relativeError: Math.sqrt(sums.dd / sums.aa) } : {}),
    largestError: sums.largest,
    ...(finite ? {} : { note: `${sums.notFinite} positions are not finite and are excluded from the figures` }),
  };
}

/** Reads elements of a tensor as float32, chunk by chunk in rising order. */
function chunkReader(container: TensorContainer, entry: TensorEntry): (start: number, count: number) => Promise<Float32Array> {
  return async (start, count) => decodeChunk(entry.dtype, await container.read(entry.name, blockAlignedChunk(entry, start, count)), count);
}

function decodeChunk(dtype: DType, bytes: Uint8Array, count: number): Float32Array {
  return decodeToFloat32(dtype, bytes, new Float32Array(count));
}

interface Sums {
  aa: number;
  bb: number;
  ab: number;
  dd: number;
  largest: number;
  notFinite: number;
  different: boolean;
}

function accumulate(left: Float32Array, right: Float32Array, sums: Sums): void {
  let { aa, bb, ab, dd, largest, notFinite, different } = sums;
  for (let i = 0; i < left.length; i += 1) {
    const x = left[i] as number;
    const y = right[i] as number;
    // Equal codes of NaN compare unequal as numbers; Object.is is too slow for every element.
    if (x !== y && !(x !== x && y !== y)) different = true;
    const difference = x - y;
    const product = x * y;
    if (product - product !== 0 || difference - difference !== 0) {
      notFinite += 1;
      continue;
    }
    aa += x * x;
    bb += y * y;
    ab += product;
    dd += difference * difference;
    const size = difference < 0 ? -difference : difference;
    if (size > largest) largest = size;
  }
  Object.assign(sums, { aa, bb, ab, dd, largest, notFinite, different });
}
