import { freemem } from 'node:os';
import { float32Bytes } from '../writers/sizes';
import type { ModelSource } from '../../models/modelSource';

/** Largest model that is built as one message: protobuf ends at 2 GiB, and the float graph is held inline. */
const largestFloat = 2 ** 30;

/**
 * Memory of running float and result in turn: the weights as arrays, in the encoded message, in the session and repacked for its kernels, and what the
 * session of the turn before has not given back yet.
 */
export function wholeModelBytes(source: ModelSource): number {
  return 6 * float32Bytes(source);
}

/** True if the whole model may be run for verification: under the limit, or else in half of the free memory. */
export function fitsWhole(source: ModelSource, memoryLimit: number | undefined, freeBytes = freemem()): boolean {
  const needed = wholeModelBytes(source);
  return float32Bytes(source) < largestFloat && (memoryLimit === undefined ? needed < freeBytes / 2 : needed + 300e6 < memoryLimit);
}
