import { elementCount } from '../../protocol/dtypes';
import type { DecoderConfig, ExpectedTensor } from '../architectures/architecture';
import { canFuseBlock } from '../architectures/decoder/fusedBlock';
import { blockTensors } from '../architectures/decoder/expectedTensors';
import { tappedBlockGraph } from './blockSessions';
import { tapsOfBlock } from './tapsOfBlock';
import type { Tap } from './taps/tap';

/** Bytes of tensors as float32. */
export function floatBytes(tensors: readonly ExpectedTensor[]): number {
  return tensors.reduce((sum, { shape }) => sum + 4 * elementCount(shape), 0);
}

/** Bytes of the weights of one block. */
export function blockBytes(config: DecoderConfig): number {
  return floatBytes(blockTensors(config, 0));
}

/** Temporaries of a block's run for each position in windows of that length: activations of both halves, and the scores of all heads. */
export function runBytesPerToken(config: DecoderConfig, window: number): number {
  const scores = (canFuseBlock(config) ? 1 : 2) * config.heads * window;
  const attention = 3 * config.headSize * (config.heads + config.keyValueHeads);
  return 4 * (3 * config.hiddenSize + Math.max(3 * config.intermediateSize, attention + scores));
}

/**
 * Bytes that the statistics of a block take: sums in float64, and the float32 results of a run, in the runtime and as arrays. Gram matrices of wide
 * layers are what counts.
 */
export function tapBytes(config: DecoderConfig, block: number, taps: readonly Tap[]): number {
  const kinds = tapsOfBlock(config, block, taps);
  if (kinds.size === 0) return 0;
  const outputs = tappedBlockGraph(config, { slidingWindow: undefined, fused: false, next: false, taps: kinds }).taps;
  return outputs.reduce((sum, { shape }) => sum + (8 + 4 + 4) * elementCount(shape), 0);
}
