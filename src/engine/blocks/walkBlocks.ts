import type { DecoderConfig } from '../architectures/architecture';
import type { WeightReader } from '../models/weightReader';
import type { BlockCheckpoints } from './blockCheckpoints';
import type { BlockRunner } from './blockRunner';
import type { HiddenStates } from './hiddenStates';
import type { Statistics, Tap } from './taps/tap';

/** Other weights for a block that was visited. */
export interface BlockResult {
  readonly weights: WeightReader;
  /** Tensors of the block whose values differ from the source's. */
  readonly changed: ReadonlySet<string>;
}

/** A walk over the blocks of a decoder. */
export interface BlockWalk {
  readonly runner: BlockRunner;
  readonly config: DecoderConfig;
  /** The source's weights: what taps see. */
  readonly weights: WeightReader;
  /** States before block `first`. Taken over: closed when others replace them, and where the walk fails. */
  readonly hidden: HiddenStates;
  /** Default 0. */
  readonly first?: number;
  readonly taps?: readonly Tap[];
  /** Whose output the next block gets: that of the source's weights, or that of the weights which `visit` gave. */
  readonly propagate: 'source' | 'result';
  /** Called after each block's taps, in order. Gives the block's new weights, if any. */
  readonly visit?: (block: number, statistics: Statistics) => Promise<BlockResult | undefined>;
  /** Where finished blocks are recorded, so that a later walk can resume. */
  readonly checkpoints?: BlockCheckpoints;
  /** As in BlockRun. */
  readonly plain?: boolean;
  /** Told before each run of the runtime: the block, and which share of its work is done. */
  readonly progress?: (block: number, share: number) => void;
}

/**
 * Runs all blocks from `first` on in order. With `propagate: 'result'` a block runs twice, first for its taps, then with the weights that `visit` made of them,
 * so that the next block meets the errors of those before it. Gives the states after the last block, which the caller closes. States are replaced in place, or,
 * with checkpoints, are stored in one file per finished block. Errors: `cancelled`, and those of readers, runtime and `visit`; nothing but checkpoints is left then.
 */
export async function walkBlocks(walk: BlockWalk): Promise<HiddenStates> {
  const { config, checkpoints, first = 0 } = walk;
  let hidden = walk.hidden;
  try {
    for (let block = first; block < config.layers; block += 1) {
      const output = (await checkpoints?.statesAfter(block, hidden.layout)) ?? hidden;
      try {
        await walkBlock(walk, block, hidden, output);
        await checkpoints?.save(block + 1, output);
      } catch (error) {
        if (output !== hidden) await output.close();
        throw error;
      }
      if (output !== hidden) await hidden.close();
      hidden = output;
    }
    return hidden;
  } catch (error) {
    await hidden.close();
    throw error;
  }
}

async function walkBlock(walk: BlockWalk, block: number, input: HiddenStates, output: HiddenStates): Promise<void> {
  const { runner, weights, taps, propagate, visit, plain, progress } = walk;
  const shared = { block, input, plain };
  const part = (from: number, to: number) => (share: number) => progress?.(block, from + (to - from) * share);
  if (propagate === 'source') {
    const statistics = await runner.run({ ...shared, weights, output, taps, progress: part(0, 1) });
    await visit?.(block, statistics);
    return;
  }
  const statistics: Statistics = taps ? await runner.run({ ...shared, weights, taps, progress: part(0, 0.5) }) : new Map();
  const result = await visit?.(block, statistics);
  const changed = taps ? (result?.changed ?? new Set<string>()) : undefined;
  await runner.run({ ...shared, weights: result?.weights ?? weights, changed, output, progress: part(taps ? 0.5 : 0, 1) });
}
