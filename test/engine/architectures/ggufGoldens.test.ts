import path from 'node:path';
import { expect, test } from 'vitest';
import { floatWeights } from '../../../src/engine/architectures/decoder/floatWeights';
import { recognizeModel } from '../../../src/engine/architectures/index';
import { openContainer } from '../../../src/engine/models/openContainer';
import type { RuntimeTensor } from '../../../src/engine/runtime/types';
import { readTestJson } from '../../support/formatFiles';
import { loadFloatWeights } from '../../support/loadFloatWeights';
import { openRuntime } from '../../support/fixtures';

/**
 * A tiny Llama with grouped heads in six GGUF types, written by the Python library gguf with llama.cpp's interleaved q and k: logits of our
 * reader, graph and runtime against those of transformers' own reader (test/golden/make/llamaGguf.py), within 1e-4 absolute.
 */
const golden = readTestJson<{
  tokens: readonly number[];
  columnStep: number;
  logits: readonly { file: string; rows: readonly (readonly number[])[] }[];
}>('golden/formats/llamaGguf.json');

const runtime = await openRuntime();

const int64 = (values: readonly number[]): RuntimeTensor => ({
  dtype: 'int64',
  shape: [1, values.length],
  data: BigInt64Array.from(values.map(BigInt)),
});

async function logitsOf(file: string): Promise<Float32Array> {
  const container = await openContainer(path.join(import.meta.dirname, '..', '..', 'fixtures', 'gguf', file), { asHuggingFace: true });
  const { architecture, config } = recognizeModel(container.config!);
  const session = await runtime.createFromGraph(architecture.buildLanguageModel(config, floatWeights(await loadFloatWeights(container))));
  await container.close();
  const inputs: Record<string, RuntimeTensor> = {
    input_ids: int64(golden.tokens),
    attention_mask: int64(golden.tokens.map(() => 1)),
    position_ids: int64([...golden.tokens.keys()]),
  };
  const empty: RuntimeTensor = { dtype: 'float32', shape: [1, config.keyValueHeads, 0, config.headSize], data: new Float32Array(0) };
  for (let block = 0; block < config.layers; block += 1)
    for (const kind of ['key', 'value']) inputs[`past_key_values.${block}.${kind}`] = empty;
  const { logits } = await session.run(inputs);
  await session.release();
  return logits!.data as Float32Array;
}

test('every type has a fixture', () => {
  expect(golden.logits.map(({ file }) => file)).toEqual(['f16', 'q8_0', 'q4_0', 'q4_1', 'q5_0', 'q5_1'].map((type) => `tiny-${type}.gguf`));
});

for (const { file, rows } of golden.logits) {
  test(`${file}: logits match transformers`, async () => {
    const logits = await logitsOf(file);
    const vocabulary = logits.length / rows.length;
    expect(vocabulary).toBe(64);
    for (const [position, row] of rows.entries()) {
      expect(row.length).toBe(Math.ceil(vocabulary / golden.columnStep));
      for (const [i, expected] of row.entries())
        expect(Math.abs((logits[position * vocabulary + i * golden.columnStep] as number) - expected)).toBeLessThan(1e-4);
    }
  });
}
