import { dtypes, elementCount, type DType } from '../../../protocol/dtypes';
import type { TensorContainer, TensorEntry } from '../../formats/container';
import { decodeToFloat32, elementsIn } from '../../formats/decode';

/** Number of bytes per read: large enough for the full speed of the disk, small enough for the cache and for cancelling. */
const chunkBytes = 2 * 2 ** 20;

/** A piece of a tensor: `count` elements from `start`. The last element block may be partly filled. */
export interface ElementChunk {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly count: number;
}

/**
 * Yields the stored bytes of a tensor in pieces of whole element blocks, reading the next piece while one is used. A piece is valid until
 * the next one is requested: two buffers alternate (allocating every piece costs a third of the speed). Types without raw bytes in a file
 * (ONNX typed fields) come as one piece.
 */
export async function* elementChunks(container: TensorContainer, entry: TensorEntry, signal?: AbortSignal): AsyncGenerator<ElementChunk> {
  const total = elementCount(entry.shape);
  const { blockBytes } = dtypes[entry.dtype];
  const step = Math.max(1, Math.floor(chunkBytes / Math.max(1, blockBytes))) * blockBytes;
  if (!entry.location || step === 0 || entry.bytes <= step) {
    if (total > 0) yield { bytes: await container.read(entry.name), start: 0, count: total };
    return;
  }
  const buffers = container.readInto ? [new Uint8Array(step), new Uint8Array(step)] : [];
  const readAt = async (offset: number): Promise<Uint8Array> => {
    const length = Math.min(step, entry.bytes - offset);
    const target = buffers[(offset / step) % 2]?.subarray(0, length);
    if (!target || !container.readInto) return container.read(entry.name, { offset, length });
    await container.readInto(entry.name, offset, target);
    return target;
  };
  let next: Promise<Uint8Array> | undefined = readAt(0);
  try {
    for (let offset = 0; next; offset += step) {
      const bytes: Uint8Array = await next;
      signal?.throwIfAborted();
      next = offset + step < entry.bytes ? readAt(offset + step) : undefined;
      const start = elementsIn(entry.dtype, offset);
      yield { bytes, start, count: Math.min(elementsIn(entry.dtype, bytes.length), total - start) };
    }
  } finally {
    // A consumer that stops early must not leave a failed read unhandled, nor a buffer that is still being filled.
    await next?.catch(() => undefined);
  }
}

/** Elements `start` to `start + count` of a tensor as float32; reads only the blocks that contain them. */
export async function readElements(container: TensorContainer, entry: TensorEntry, start: number, count: number): Promise<Float32Array> {
  const { blockSize, blockBytes } = dtypes[entry.dtype];
  if (count === 0) return new Float32Array(0);
  if (!entry.location)
    return decodeWhole(entry.dtype, await container.read(entry.name), elementCount(entry.shape)).subarray(start, start + count);
  const first = Math.floor(start / blockSize);
  const last = Math.ceil((start + count) / blockSize);
  const bytes = await container.read(entry.name, { offset: first * blockBytes, length: (last - first) * blockBytes });
  const values = decodeWhole(entry.dtype, bytes, (last - first) * blockSize);
  return values.subarray(start - first * blockSize, start - first * blockSize + count);
}

function decodeWhole(dtype: DType, bytes: Uint8Array, count: number): Float32Array {
  return decodeToFloat32(dtype, bytes, new Float32Array(count));
}
