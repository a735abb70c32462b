import { dtypes } from '../../protocol/dtypes';
import type { TensorEntry } from './container';

/**
 * Byte range of `count` elements from element `start` on. `start` must be on a block boundary of the type (multiples of 256 always are);
 * the last block of a tensor may be partly filled.
 */
export function blockAlignedChunk(entry: TensorEntry, start: number, count: number): { readonly offset: number; readonly length: number } {
  const { blockSize, blockBytes } = dtypes[entry.dtype];
  return { offset: (start / blockSize) * blockBytes, length: Math.ceil(count / blockSize) * blockBytes };
}
