import { deflateRawSync } from 'node:zlib';
import type { LearnedTensor } from '../../formats/archive/learnedTensor';

/** Levels of one call: the compressor needs them in one buffer. */
const chunk = 32 * 2 ** 20;

/**
 * Bits that deflate (level 9) leaves of the levels and the widths of all groups, one byte each (levels of more than 8 bits: two), and of minimum and
 * maximum: how much entropy the stored levels still hold.
 */
export function deflatedBits(tensors: readonly LearnedTensor[]): number {
  let bytes = 0;
  for (const { levels, bits } of tensors) {
    bytes += 8 + deflatedBytes(bits);
    const narrow = levels.every((level) => level < 256)
      ? Uint8Array.from(levels)
      : new Uint8Array(levels.buffer, levels.byteOffset, levels.byteLength);
    bytes += deflatedBytes(narrow);
  }
  return bytes * 8;
}

function deflatedBytes(data: Uint8Array): number {
  let total = 0;
  for (let offset = 0; offset < data.length; offset += chunk)
    total += deflateRawSync(data.subarray(offset, offset + chunk), { level: 9 }).length;
  return total;
}
