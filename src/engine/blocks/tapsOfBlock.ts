import type { DecoderConfig } from '../architectures/architecture';
import { blockTensors } from '../architectures/decoder/expectedTensors';
import { findTapKind } from './taps';
import type { Tap, TapKind } from './taps/tap';

/** The taps on the linear layers of a block, by the names of block 0, which the graph has. */
export function tapsOfBlock(config: DecoderConfig, block: number, taps: readonly Tap[]): ReadonlyMap<string, readonly TapKind[]> {
  const result = new Map<string, readonly TapKind[]>();
  const slots = blockTensors(config, 0);
  for (const [index, { name, shape }] of blockTensors(config, block).entries()) {
    if (shape.length !== 2) continue;
    const kinds = new Set(taps.filter(({ tensors }) => tensors?.has(name) ?? true).map(({ kind }) => findTapKind(kind)));
    if (kinds.size > 0) result.set(slots[index]!.name, [...kinds]);
  }
  return result;
}
