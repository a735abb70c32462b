import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect } from 'vitest';
import { constantTemperature } from '../../../src/common/temperatureSchedule';
import type { DecoderConfig } from '../../../src/engine/architectures/architecture';
import { DecoderGenerator, type DecoderGeneratorOptions } from '../../../src/engine/generate/decoderGenerator';
import type { GenerationRequest } from '../../../src/engine/generate/generator';
import { containerWeights } from '../../../src/engine/models/decoderWeights';
import { openContainer } from '../../../src/engine/models/openContainer';
import { runnableDecoder } from '../../../src/engine/models/recognizeDecoder';
import type { Runtime } from '../../../src/engine/runtime/types';
import { LoomweightError } from '../../../src/protocol/errors';
import { decoderGraph } from '../../support/decoderGraph';
import { test } from '../../support/fixtures';
import { emptyCache } from '../../support/generateGreedy';
import { projectRoot, readText } from '../../support/sourceTree';

const sample = 'media/samples/loom-base';
const tiny = ['tiny-llama', 'tiny-llama-linear', 'tiny-mistral', 'tiny-qwen2'].map((name) => `test/fixtures/models/${name}`);

type Options = Partial<Omit<DecoderGeneratorOptions, 'config' | 'weights' | 'runtime' | 'drawing'>> &
  Partial<DecoderGeneratorOptions['drawing']>;

/** A generator for a model of this repository; sampled without limits and without an end unless told otherwise. */
async function withGenerator<T>(
  model: string,
  runtime: Runtime,
  { sampling = { greedy: false }, end = { kind: 'none' }, logProbabilities = false, ...options }: Options,
  use: (generator: DecoderGenerator, config: DecoderConfig) => Promise<T>,
): Promise<T> {
  const container = await openContainer(path.join(projectRoot, model));
  try {
    const { config } = await runnableDecoder(container);
    const drawing = { vocabulary: config.vocabularySize, sampling, end, logProbabilities };
    const generator = await DecoderGenerator.create({ config, weights: containerWeights(container), runtime, drawing, ...options });
    try {
      return await use(generator, config);
    } finally {
      await generator.release();
    }
  } finally {
    await container.close();
  }
}

const request = (more: Partial<GenerationRequest>): GenerationRequest => ({
  prompts: [[0]],
  tokens: 30,
  seed: 7,
  temperatures: constantTemperature(1),
  ...more,
});

describe('greedy text', () => {
  const { cases } = JSON.parse(readText('test/golden/generation.json')) as {
    cases: { readonly ids: readonly number[]; readonly tokens: readonly number[] }[];
  };

  test('of the bundled model equals that of transformers', async ({ runtime }) => {
    expect(cases.map(({ tokens }) => tokens.length)).toEqual([64, 64, 64]);
    await withGenerator(sample, runtime, { sampling: { greedy: true } }, async (generator) => {
      for (const { ids, tokens } of cases) expect(await generator.generate(request({ prompts: [ids], tokens: 64 }))).toEqual([tokens]);
    });
  });
});

describe('logits', () => {
  const { cases } = JSON.parse(readFileSync(path.join(projectRoot, 'test/golden/decoders.json'), 'utf8')) as {
    cases: { readonly model: string; readonly ids: readonly number[]; readonly vocabulary: number; readonly whole: readonly number[] }[];
  };

  test.for(tiny)('of the last token of a prompt are those of transformers: %s', async (model, { runtime }) => {
    const golden = cases.find((each) => each.model === model);
    if (!golden) throw new Error(`No golden of ${model}.`);
    await withGenerator(model, runtime, { logits: true }, async (generator) => {
      for (const length of [1, 7, golden.ids.length]) {
        let given: Float32Array | undefined;
        await generator.generate(request({ prompts: [golden.ids.slice(0, length)], tokens: 1, onLogits: (logits) => (given = logits) }));
        const expected = golden.whole.slice((length - 1) * golden.vocabulary, length * golden.vocabulary);
        expect(Math.max(...expected.map((value, index) => Math.abs(value - (given?.[index] ?? NaN))))).toBeLessThan(1e-4);
      }
    });
  });

  test.for(tiny)('with the cache equal those of the whole sequence at once: %s', async (model, { runtime }) => {
    const prompt = [5, 9, 31];
    await withGenerator(model, runtime, { logits: true, tokensPerRun: 5 }, async (generator, config) => {
      const cached: number[] = [];
      const [tokens] = await generator.generate(request({ prompts: [prompt], tokens: 24, onLogits: (logits) => cached.push(...logits) }));
      const ids = [...prompt, ...(tokens as readonly number[])].slice(0, -1);
      const int64 = (values: readonly number[]) => ({
        dtype: 'int64' as const,
        shape: [1, values.length],
        data: BigInt64Array.from(values.map(BigInt)),
      });
      const whole = await runtime.createFromGraph(await decoderGraph(model), { keep: false });
      const { logits } = await whole.run(
        {
          input_ids: int64(ids),
          attention_mask: int64(ids.map(() => 1)),
          position_ids: int64(ids.map((_, at) => at)),
          ...emptyCache(config),
        },
        ['logits'],
      );
      await whole.release();
      const expected = (logits?.data as Float32Array).subarray((prompt.length - 1) * config.vocabularySize);
      expect(cached.length).toBe(expected.length);
      expect(Math.max(...cached.map((value, index) => Math.abs(value - (expected[index] as number))))).toBeLessThan(1e-4);
    });
  });
});

test.for([tiny[0] as string, tiny[3] as string, sample])(
  'weights as inputs of the graph give the same tokens as constants: %s',
  async (model, { runtime }) => {
    const made: (readonly (readonly number[])[])[] = [];
    for (const constantBytes of [0, 1e9])
      await withGenerator(model, runtime, { sampling: { greedy: true }, constantBytes }, async (generator) => {
        made.push(
          await generator.generate(
            request({
              prompts: [
                [5, 9],
                [7, 8],
              ],
            }),
          ),
        );
      });
    expect(made[0]).toEqual(made[1]);
  },
);

test('log probabilities are those of the softmax of the logits, whatever limits the draws', async ({ runtime }) => {
  const sampling = { greedy: false, topK: 20, repetitionPenalty: 1.3 };
  await withGenerator(
    tiny[0] as string,
    runtime,
    { sampling, logits: true, logProbabilities: true, tokensPerRun: 4 },
    async (generator) => {
      const [logits, given]: [number[], number[]] = [[], []];
      const sequences = await generator.generate(
        request({
          prompts: [[5], [9]],
          tokens: 10,
          temperatures: constantTemperature(1.7),
          onLogits: (values) => logits.push(...values),
          onLogProbabilities: (values) => given.push(...values),
        }),
      );
      expect(given).toHaveLength(20);
      for (const [at, value] of given.entries()) {
        const row = logits.slice(96 * at, 96 * (at + 1));
        const token = sequences[at % 2]?.[Math.floor(at / 2)] as number;
        const total = row.reduce((sum, logit) => sum + Math.exp(logit), 0);
        expect(value).toBeCloseTo((row[token] as number) - Math.log(total), 4);
      }
    },
  );
});

describe('the same seed gives the same tokens', () => {
  test.for([...tiny.slice(0, 2), sample])('whatever the length of a run: %s', async (model, { runtime }) => {
    const made: (readonly (readonly number[])[])[] = [];
    for (const tokensPerRun of [1, 7, undefined, undefined])
      await withGenerator(model, runtime, tokensPerRun === undefined ? {} : { tokensPerRun }, async (generator) => {
        made.push(await generator.generate(request({ prompts: [[0], [0], [0]] })));
      });
    expect(new Set(made.map((each) => JSON.stringify(each))).size).toBe(1);
    expect(new Set(made[0]?.map((each) => each.join())).size).toBe(3);
  });

  test('and another seed others', async ({ runtime }) => {
    await withGenerator(sample, runtime, {}, async (generator) => {
      const first = await generator.generate(request({ seed: 1 }));
      expect(await generator.generate(request({ seed: 2 }))).not.toEqual(first);
      expect(await generator.generate(request({ seed: 1 }))).toEqual(first);
      expect(await generator.generate(request({ seed: 1, firstSequence: 1 }))).not.toEqual(first);
    });
  });
});

describe('the end of a document', () => {
  const [model] = tiny as [string];
  const ends = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

  test('starts another one in the same sequence', async ({ runtime }) => {
    await withGenerator(model, runtime, { end: { kind: 'pack', ends, start: 90 }, tokensPerRun: 3 }, async (generator) => {
      const sequences = await generator.generate(request({ prompts: [[90], [90], [90], [90]], tokens: 100 }));
      const followers = sequences.flatMap((tokens) =>
        tokens.flatMap((token, at) => (ends.includes(token) ? tokens.slice(at + 1, at + 2) : [])),
      );
      expect(followers.length).toBeGreaterThan(10);
      expect(new Set(followers)).toEqual(new Set([90]));
      expect(sequences.map((tokens) => tokens.length)).toEqual([100, 100, 100, 100]);
    });
  });

  test('or stops the sequence, and the run once all have stopped', async ({ runtime }) => {
    await withGenerator(model, runtime, { end: { kind: 'stop', ends } }, async (generator) => {
      let rows = 0;
      const sequences = await generator.generate(
        request({ prompts: [[90], [90], [90]], tokens: 120, onTokens: (drawn) => void (rows += drawn.length) }),
      );
      const lengths = sequences.map((tokens) => tokens.length);
      expect(Math.max(...lengths)).toBeLessThan(120);
      expect(new Set(lengths).size).toBeGreaterThan(1);
      expect(rows).toBe(Math.max(...lengths));
      for (const tokens of sequences) {
        expect(ends).toContain(tokens.at(-1));
        expect(tokens.slice(0, -1).filter((token) => ends.includes(token))).toEqual([]);
      }
    });
  });
});

test('what the model cannot continue is refused', async ({ runtime }) => {
  await withGenerator(tiny[0] as string, runtime, {}, async (generator, { contextLength }) => {
    expect(contextLength).toBe(128);
    const refused = async (more: Partial<GenerationRequest>): Promise<string> => {
      const error: unknown = await generator.generate(request(more)).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      return LoomweightError.is(error, 'invalid-argument') ? error.message : String(error);
    };
    expect(await refused({ prompts: [[0, 1]], tokens: 127 })).toMatch(/2 tokens of prompt and 127 more exceed the model's context of 128/);
    expect(await refused({ prompts: [[]] })).toMatch(/at least one token/);
    expect(await refused({ prompts: [[0], [0, 1]] })).toMatch(/one length/);
    expect((await generator.generate(request({ prompts: [[0, 1]], tokens: 126 })))[0]).toHaveLength(126);
  });
});

test('a cancelled generation ends between runs', async ({ runtime }) => {
  const controller = new AbortController();
  await withGenerator(tiny[0] as string, runtime, { tokensPerRun: 2 }, async (generator) => {
    const made = generator.generate(request({ signal: controller.signal, onTokens: () => controller.abort() }));
    await expect(made).rejects.toMatchObject({ code: 'cancelled' });
  });
});
