import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { recognizeModel } from '../../../src/engine/architectures/index';
import { checkWeights, containerWeights } from '../../../src/engine/models/decoderWeights';
import { scoreDecoder } from '../../../src/engine/evaluate/scoreDecoder';
import { planScoring, type ScoringPlan } from '../../../src/engine/evaluate/scoringPlan';
import { openContainer } from '../../../src/engine/models/openContainer';
import { createRuntime } from '../../../src/engine/runtime/runtime';
import { cutWindows } from '../../../src/engine/text/windows';
import { workContext } from '../../support/workContext';

const root = fileURLToPath(new URL('../../..', import.meta.url));
interface Golden {
  readonly model: string;
  readonly ids: readonly number[];
  readonly vocabulary: number;
  readonly columns?: readonly number[];
  readonly whole: readonly number[];
}
const { cases } = JSON.parse(readFileSync(path.join(root, 'test/golden/decoders.json'), 'utf8')) as { cases: readonly Golden[] };

/** Loss of the golden's own next tokens, from transformers' logits, in float64. */
function expectedLoss({ ids, vocabulary, whole }: Golden): number {
  let loss = 0;
  for (let row = 0; row + 1 < ids.length; row += 1) {
    const logits = whole.slice(row * vocabulary, (row + 1) * vocabulary);
    const largest = Math.max(...logits);
    loss += largest + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0)) - logits[ids[row + 1]!]!;
  }
  return loss;
}

/** Everything cut as small as it can be: one window at a time, weights read again, tables in slices. */
const smallest = (plan: ScoringPlan): ScoringPlan => ({
  ...plan,
  keepWeights: false,
  wholeEmbedding: false,
  wholeHead: false,
  headSlice: 7,
  headRows: 5,
  windowsPerGroup: 1,
  windowsPerRun: 1,
});

for (const golden of cases.filter(({ columns }) => columns === undefined))
  describe(path.basename(golden.model), () => {
    for (const [name, cut] of [
      ['whole', (plan: ScoringPlan) => plan],
      ['streamed in the smallest pieces', smallest],
    ] as const)
      test(`has the loss of transformers' logits, ${name}`, async () => {
        const container = await openContainer(path.join(root, golden.model));
        try {
          const { architecture, config } = recognizeModel(container.config!);
          checkWeights(container, architecture.expectedTensors(config));
          // Two equal windows: the first id takes the place of BOS; the rest is predicted.
          const targets = golden.ids.slice(1);
          const windows = cutWindows([...targets, ...targets], targets.length);
          const runtime = await createRuntime({ provider: 'cpu', threads: 2 });
          const plan = cut(planScoring(config, windows, undefined));
          const { loss, tokens } = await scoreDecoder(
            { weights: containerWeights(container), config, windows, bos: golden.ids[0], plan },
            workContext(runtime),
          );
          expect(tokens).toBe(2 * targets.length);
          expect(Math.abs(loss / 2 - expectedLoss(golden))).toBeLessThan(1e-4 * targets.length);
        } finally {
          await container.close();
        }
      });

    test('without a BOS the first token of a window is not scored', async () => {
      const container = await openContainer(path.join(root, golden.model));
      try {
        const { config } = recognizeModel(container.config!);
        const windows = cutWindows(golden.ids, golden.ids.length);
        const runtime = await createRuntime({ provider: 'cpu', threads: 1 });
        const plan = planScoring(config, windows, undefined);
        const { loss, tokens } = await scoreDecoder(
          { weights: containerWeights(container), config, windows, bos: undefined, plan },
          workContext(runtime),
        );
        expect(tokens).toBe(golden.ids.length - 1);
        expect(Math.abs(loss - expectedLoss(golden))).toBeLessThan(1e-4 * tokens);
      } finally {
        await container.close();
      }
    });
  });

test('a limit below one block is refused with the shortfall', () => {
  const { config } = recognizeModel(JSON.parse(readFileSync(path.join(root, 'media/samples/loom-base/config.json'), 'utf8')));
  expect(() => planScoring(config, { window: 256, count: 8 }, 100e6)).toThrow(/short/);
});

test('a limit between one block and the whole model is met block by block', () => {
  const { config } = recognizeModel({
    architectures: ['LlamaForCausalLM'],
    hidden_size: 4096,
    intermediate_size: 11008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    vocab_size: 32000,
    max_position_embeddings: 4096,
  });
  const plan = planScoring(config, { window: 2048, count: 50 }, 3e9);
  expect(plan.keepWeights).toBe(false);
  expect(plan.hostMemoryBytes).toBeLessThanOrEqual(3e9);
  expect(plan.windowsPerGroup).toBeGreaterThan(1);
});

test('a cancelled evaluation ends with the cancelled error', async () => {
  const container = await openContainer(path.join(root, 'test/fixtures/models/tiny-llama'));
  try {
    const { config } = recognizeModel(container.config!);
    const windows = cutWindows(Array(40).fill(3), 10);
    const runtime = await createRuntime({ provider: 'cpu', threads: 1 });
    const stop = new AbortController();
    const progress = () => stop.abort();
    const run = scoreDecoder(
      { weights: containerWeights(container), config, windows, bos: 0, plan: planScoring(config, windows, undefined) },
      workContext(runtime, { progress, signal: stop.signal }),
    );
    await expect(run).rejects.toMatchObject({ code: 'cancelled' });
  } finally {
    await container.close();
  }
});
