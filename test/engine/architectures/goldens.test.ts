import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import type { DecoderConfig } from '../../../src/engine/architectures/architecture';
import { floatWeights } from '../../../src/engine/architectures/decoder/floatWeights';
import { recognizeModel } from '../../../src/engine/architectures/index';
import { openContainer } from '../../../src/engine/models/openContainer';
import { createRuntime } from '../../../src/engine/runtime/runtime';
import type { Runtime, RuntimeTensor, Session } from '../../../src/engine/runtime/types';
import { loadFloatWeights } from '../../support/loadFloatWeights';

/** Logits of our graphs against transformers', within 1e-4 absolute: whole, token by token with cache, left-padded. */
interface Golden {
  readonly model: string;
  readonly ids: readonly number[];
  readonly vocabulary: number;
  readonly columns?: readonly number[];
  readonly whole: readonly number[];
  readonly cached: readonly number[];
  readonly leftPadding: number;
  readonly left: readonly number[];
}

const root = fileURLToPath(new URL('../../..', import.meta.url));
const { header, cases } = JSON.parse(readFileSync(path.join(root, 'test/golden/decoders.json'), 'utf8')) as {
  header: { toleranceAbsolute: number };
  cases: readonly Golden[];
};

const int64 = (values: readonly number[], shape: readonly number[]): RuntimeTensor => ({
  dtype: 'int64',
  shape,
  data: BigInt64Array.from(values.map(BigInt)),
});

function emptyCache(config: DecoderConfig): Record<string, RuntimeTensor> {
  const cache: Record<string, RuntimeTensor> = {};
  for (let block = 0; block < config.layers; block += 1)
    for (const kind of ['key', 'value'])
      cache[`past_key_values.${block}.${kind}`] = {
        dtype: 'float32',
        shape: [1, config.keyValueHeads, 0, config.headSize],
        data: new Float32Array(0),
      };
  return cache;
}

function nextCache(outputs: Readonly<Record<string, RuntimeTensor>>): Record<string, RuntimeTensor> {
  return Object.fromEntries(
    Object.entries(outputs)
      .filter(([name]) => name.startsWith('present.'))
      .map(([name, tensor]) => [name.replace('present.', 'past_key_values.'), tensor]),
  );
}

/** The golden's columns of logits [1, rows, vocabulary], from a row on. */
function picked(golden: Golden, logits: RuntimeTensor, from = 0): number[] {
  const data = logits.data as Float32Array;
  const columns = golden.columns ?? Array.from({ length: golden.vocabulary }, (_, index) => index);
  const rows = logits.shape[1] as number;
  return Array.from({ length: rows - from }, (_, row) => columns.map((column) => data[(row + from) * golden.vocabulary + column]!)).flat();
}

function largestDifference(actual: readonly number[], expected: readonly number[]): number {
  expect(actual.length).toBe(expected.length);
  return actual.reduce((largest, value, index) => {
    const difference = Math.abs(value - expected[index]!);
    return difference <= largest ? largest : difference;
  }, 0);
}

for (const golden of cases)
  describe(golden.model, () => {
    let runtime: Runtime;
    let session: Session;
    let config: DecoderConfig;

    beforeAll(async () => {
      runtime = await createRuntime({ provider: 'cpu', threads: 2 });
      const container = await openContainer(path.join(root, golden.model));
      const recognized = recognizeModel(container.config!);
      config = recognized.config;
      const graph = recognized.architecture.buildLanguageModel(config, floatWeights(await loadFloatWeights(container)));
      expect(Object.keys(graph.opsets)).toEqual(['']);
      expect(graph.opsets['']).toBe(21);
      session = await runtime.createFromGraph(graph);
      for (const expected of recognized.architecture.expectedTensors(config))
        expect(container.tensors.get(expected.name)?.shape).toEqual(expected.shape);
      await container.close();
      return async () => session.release();
    });

    test('logits of a whole sequence match', async () => {
      const length = golden.ids.length;
      const { logits } = await session.run({
        input_ids: int64(golden.ids, [1, length]),
        attention_mask: int64(Array(length).fill(1), [1, length]),
        position_ids: int64([...golden.ids.keys()], [1, length]),
        ...emptyCache(config),
      });
      expect(largestDifference(picked(golden, logits!), golden.whole)).toBeLessThan(header.toleranceAbsolute);
    });

    test('logits match token by token with the cache', async () => {
      let cache = emptyCache(config);
      const rows: number[] = [];
      let past = 0;
      while (past < golden.ids.length) {
        const count = past === 0 ? 7 : 1;
        const outputs = await session.run({
          input_ids: int64(golden.ids.slice(past, past + count), [1, count]),
          attention_mask: int64(Array(past + count).fill(1), [1, past + count]),
          position_ids: int64(
            Array.from({ length: count }, (_, index) => past + index),
            [1, count],
          ),
          ...cache,
        });
        rows.push(...picked(golden, outputs['logits']!));
        cache = nextCache(outputs);
        past += count;
      }
      expect(cache['past_key_values.0.key']?.shape).toEqual([1, config.keyValueHeads, golden.ids.length, config.headSize]);
      expect(largestDifference(rows, golden.cached)).toBeLessThan(header.toleranceAbsolute);
    });

    test('logits match for a left-padded sequence', async () => {
      const pad = golden.leftPadding;
      const length = golden.ids.length;
      const ids = [...Array(pad).fill(0), ...golden.ids.slice(0, length - pad)] as number[];
      const { logits } = await session.run({
        input_ids: int64(ids, [1, length]),
        attention_mask: int64([...Array(pad).fill(0), ...Array(length - pad).fill(1)] as number[], [1, length]),
        position_ids: int64(
          ids.map((_, index) => Math.max(0, index - pad)),
          [1, length],
        ),
        ...emptyCache(config),
      });
      expect(largestDifference(picked(golden, logits!, pad), golden.left)).toBeLessThan(header.toleranceAbsolute);
    });
  });
