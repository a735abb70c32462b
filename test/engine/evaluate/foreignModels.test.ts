import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { evaluateModel } from '../../../src/engine/evaluate/evaluateModel';
import { writeOnnxModel } from '../../../src/engine/formats/onnx/writeOnnxModel';
import { GraphBuilder, int } from '../../../src/engine/graph/builder';
import { operators } from '../../../src/engine/ops/index';
import { compareKind } from '../../../src/engine/jobs/compare';
import { loadTokenizer } from '../../../src/engine/text/tokenizer';
import { loomBase, loomBaseAsGguf } from '../../support/loomGguf';
import { workContext } from '../../support/workContext';
import { openRuntime, temporaryFolder } from '../../support/fixtures';

const fixture = (...parts: string[]) => path.join(fileURLToPath(new URL('../../fixtures', import.meta.url)), ...parts);
const text = { text: fixture('text/eval-play.txt'), window: 256, limit: 8 } as const;
const runtime = await openRuntime(2);
const folder = temporaryFolder();

test('a Llama GGUF file is evaluated: F16 as the directory it was made from, Q8_0 within 1 %', async () => {
  const directory = await evaluateModel({ kind: 'evaluate', model: loomBase, ...text }, workContext(runtime));
  for (const [dtype, tolerance] of [
    ['float16', 1e-6],
    ['q8_0', 0.01],
  ] as const) {
    const model = path.join(folder, `${dtype}.gguf`);
    writeFileSync(model, await loomBaseAsGguf(dtype));
    const report = await evaluateModel({ kind: 'evaluate', model, ...text }, workContext(runtime));
    expect(report.tokens).toBe(directory.tokens);
    expect(Math.abs(report.value / directory.value - 1)).toBeLessThan(tolerance);
  }
}, 120_000);

test('a GGUF file is compared with a directory under the same names', async () => {
  const second = path.join(folder, 'compared.gguf');
  writeFileSync(second, await loomBaseAsGguf('float16'));
  const context = { signal: undefined, memoryLimit: 2 ** 30, seed: 0, progress: () => undefined, note: () => undefined };
  const report = await compareKind.run({ kind: 'compare', first: loomBase, second }, context);
  expect(report).toMatchObject({ equal: 38, changed: 0, missing: 0 });
});

test('a foreign ONNX language model without position_ids or cache, with float16 logits and other names of axes', async () => {
  // Logits are a row of a table for each token, so the loss is known: that of a bigram table.
  const vocabulary = 4096;
  const table = Float32Array.from({ length: 64 * vocabulary }, (_, index) => ((index * 37) % 101) / 25);
  const build = new GraphBuilder(operators, 'foreign');
  const ids = build.input('input_ids', { dtype: 'int64', shape: ['N', 'T'] });
  build.input('attention_mask', { dtype: 'int64', shape: ['N', 'T'] });
  const row = build.op('Mod', [ids, build.int64(64)]);
  const weights = build.constant({
    kind: 'inline',
    dtype: 'float32',
    shape: [64, vocabulary],
    bytes: new Uint8Array(table.buffer),
  });
  build.output(build.op('Cast', [build.op('Gather', [weights, row], { axis: int(0) })], { to: int(10) }), 'logits');
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) cpSync(path.join(loomBase, name), path.join(folder, name));
  // No layers, heads or sizes in config.json: another family's keys.
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ n_positions: 512, vocab_size: vocabulary }));
  const model = path.join(folder, 'foreign.onnx');
  await writeOnnxModel(build.finish(), model);
  const report = await evaluateModel({ kind: 'evaluate', model, ...text }, workContext(runtime));

  const tokens = (await loadTokenizer([loomBase])).encode(readFileSync(text.text, 'utf8')).slice(0, 8 * 256);
  let loss = 0;
  tokens.forEach((target, index) => {
    const before = index % 256 === 0 ? 0 : tokens[index - 1]!;
    const logits = table.subarray((before % 64) * vocabulary, ((before % 64) + 1) * vocabulary);
    loss += Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0)) - logits[target]!;
  });
  expect(report.tokens).toBe(tokens.length);
  // float16 logits up to 4 are rounded by at most 1e-3.
  expect(Math.abs(report.loss - loss / tokens.length)).toBeLessThan(1e-3);
});

test('a Parquet table written by pyarrow gives the accuracy and loss of the arrays', async () => {
  const columns = { input: 'p*', label: 'digit' };
  const data = fixture('tables/digits-test.parquet');
  const report = await evaluateModel(
    { kind: 'evaluate', model: fixture('../../media/samples/digits/digits-mlp.onnx'), data, columns },
    workContext(runtime),
  );
  expect(report.samples).toBe(360);
  expect(report.value).toBeCloseTo(0.9778, 4);
  expect(report.loss).toBeCloseTo(0.0853, 4);
});
