import type { VerificationCheck } from '../../../protocol/report';
import type { DecoderConfig } from '../../architectures/architecture';
import { blockTensors } from '../../architectures/decoder/expectedTensors';
import { BlockRunner } from '../../blocks/blockRunner';
import { embedTokens } from '../../blocks/embedTokens';
import { HiddenStates } from '../../blocks/hiddenStates';
import type { WeightReader } from '../../models/weightReader';
import type { WorkContext } from '../../runtime/workContext';
import { relativeDifference } from './measures';
import { sampleIds } from './sampleInputs';

/** Tokens of the sample. */
const sampleLength = 16;

/** A result whose blocks are compared with those of its source. */
export interface BlockComparison {
  readonly config: DecoderConfig;
  readonly source: WeightReader;
  /** Weights of the finished file: asked for those that are compressed. */
  readonly result: WeightReader;
  /** Names of the compressed weights. */
  readonly compressed: ReadonlySet<string>;
  /** Largest relative error of what a block adds to its input, from the names of its compressed weights. */
  limitOf(names: readonly string[]): number;
}

/**
 * Runs every decoder block with the weights of the source and with those of the finished file on the same activations, one block in memory at a
 * time, and compares what each adds to its input. The activations are those of the source's own blocks, from a fixed sample of tokens.
 */
export async function verifyBlocks(
  { config, source, result, compressed, limitOf }: BlockComparison,
  context: Pick<WorkContext, 'runtime' | 'signal' | 'seed' | 'progress'>,
): Promise<VerificationCheck> {
  const ids = BigInt64Array.from(sampleIds(config, context.seed, Math.min(sampleLength, config.contextLength)), BigInt);
  const layout = { windows: 1, length: ids.length, hiddenSize: config.hiddenSize };
  let input = HiddenStates.inMemory(layout, await embedTokens(source, config, ids));
  let worst = { ratio: 0, error: 0, limit: 1, block: 0 };
  const runner = new BlockRunner(config, context, { windowsPerRun: 1, resident: false });
  try {
    for (let block = 0; block < config.layers; block += 1) {
      context.progress({ phase: 'Checking blocks', done: block, total: config.layers, unit: 'steps' });
      const names = blockTensors(config, block).flatMap(({ name }) => (compressed.has(name) ? [name] : []));
      const expected = HiddenStates.inMemory(layout);
      const finished = HiddenStates.inMemory(layout);
      // Plain operators on every provider: what is compared is the weights.
      await runner.run({ block, weights: source, input, output: expected, plain: true });
      if (names.length > 0) {
        await runner.run({ block, weights: result, changed: new Set(names), input, output: finished, plain: true });
        const error = relativeDifference(await added(input, expected), await added(input, finished));
        const limit = limitOf(names);
        if (error / limit > worst.ratio) worst = { ratio: error / limit, error, limit, block };
      }
      input = expected;
    }
  } finally {
    await runner.release();
  }
  return {
    name: 'blocks',
    passed: worst.error <= worst.limit,
    measured: worst.error,
    limit: worst.limit,
    unit: 'relative',
    note: `Largest share of the limit: block ${worst.block} of ${config.layers}.`,
  };
}

/** What a block added to its input. */
async function added(input: HiddenStates, output: HiddenStates): Promise<Float32Array> {
  const before = await input.read(0, 1);
  return (await output.read(0, 1)).map((value, index) => value - (before[index] as number));
}
