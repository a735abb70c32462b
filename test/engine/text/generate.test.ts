import { cpSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { env, AutoModelForCausalLM, Tensor } from '@huggingface/transformers';
import { expect, test } from 'vitest';
import { floatWeights } from '../../../src/engine/architectures/decoder/floatWeights';
import { recognizeModel } from '../../../src/engine/architectures/index';
import { openContainer } from '../../../src/engine/models/openContainer';
import { writeOnnxModel } from '../../../src/engine/formats/onnx/writeOnnxModel';
import { createRuntime } from '../../../src/engine/runtime/runtime';
import { generateGreedy } from '../../support/generateGreedy';
import { loadTokenizer } from '../../../src/engine/text/tokenizer';
import { loadFloatWeights } from '../../support/loadFloatWeights';
import { temporaryFolder } from '../../support/fixtures';

const sample = path.join(fileURLToPath(new URL('../../..', import.meta.url)), 'media/samples/loom-base');
const folder = temporaryFolder();

test('our greedy text matches that of transformers.js from our ONNX directory', async () => {
  const container = await openContainer(sample);
  const { architecture, config } = recognizeModel(container.config!);
  const graph = architecture.buildLanguageModel(config, floatWeights(await loadFloatWeights(container)));
  await container.close();
  for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'generation_config.json'])
    cpSync(path.join(sample, name), path.join(folder, name));
  mkdirSync(path.join(folder, 'onnx'));
  await writeOnnxModel(graph, path.join(folder, 'onnx', 'model.onnx'));

  env.allowRemoteModels = false;
  env.localModelPath = path.dirname(folder);
  const client = await AutoModelForCausalLM.from_pretrained(path.basename(folder), { dtype: 'fp32', device: 'cpu' });
  const runtime = await createRuntime({ provider: 'cpu', threads: 2 });
  const session = await runtime.createFromFile(path.join(folder, 'onnx', 'model.onnx'));
  const tokenizer = await loadTokenizer([folder]);
  for (const prompt of ['The old man looked at her, and', 'It was a dark night', '"Well," said he,']) {
    const ids = [0, ...tokenizer.encode(prompt)];
    const ours = await generateGreedy(session, config, ids, { maxNewTokens: 32, endTokenIds: config.eosTokenIds });
    const inputs = new Tensor('int64', BigInt64Array.from(ids.map(BigInt)), [1, ids.length]);
    const mask = new Tensor('int64', new BigInt64Array(ids.length).fill(1n), [1, ids.length]);
    const output = (await client.generate({ inputs, attention_mask: mask, max_new_tokens: 32, do_sample: false } as never)) as Tensor;
    const theirs = Array.from(output.data as BigInt64Array, Number).slice(ids.length);
    expect(ours.length).toBeGreaterThan(8);
    expect(ours).toEqual(theirs.slice(0, ours.length));
  }
  await client.dispose();
  await session.release();
});
