import type { RunEnvironment } from '../../protocol/report';

/**
 * States of this many bytes are overwritten by each run on a processor, which saves a copy of the state at the peak of a training. Below it (some 11 million weights with
 * Adam) a copy is less than what the runtime itself takes, and the state before a run that diverges is worth more than its memory.
 */
const overwriteFrom = 2 ** 27;

/**
 * Whether each run of steps writes the new state into the arrays of the one before. Elsewhere than on a processor the state crosses to a device and back, and the host
 * is not where memory is short.
 */
export function overwritesState(provider: RunEnvironment['provider'], stateBytes: number): boolean {
  return provider === 'cpu' && stateBytes >= overwriteFrom;
}
