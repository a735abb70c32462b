import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect } from 'vitest';
import { writeOnnxModel } from '../../../src/engine/formats/onnx/writeOnnxModel';
import { estimateGenerate, generateText } from '../../../src/engine/generate/generateText';
import type { ProgressStep } from '../../../src/engine/runtime/workContext';
import type { GenerateSpec } from '../../../src/protocol/jobs';
import { decoderGraph } from '../../support/decoderGraph';
import { test } from '../../support/fixtures';
import { projectRoot, readText } from '../../support/sourceTree';
import { workContext } from '../../support/workContext';

const sample = 'media/samples/loom-base';
const model = path.join(projectRoot, sample);
const { cases, chat } = JSON.parse(readText('test/golden/generation.json')) as {
  chat: { readonly name: string; readonly template: string; readonly prompt: string; readonly ids: readonly number[] }[];
  cases: { readonly prompt: string; readonly ids: readonly number[]; readonly tokens: readonly number[]; readonly text: string }[];
};
const spec = (more: Partial<GenerateSpec> = {}): GenerateSpec => ({ kind: 'generate', model, prompt: 'It was a dark night', ...more });

/** The bundled model with another config, tokenizer_config or generation_config; `undefined` removes a key. */
function changedSample(folder: string, changes: Readonly<Record<string, Readonly<Record<string, unknown>>>>): string {
  cpSync(model, folder, { recursive: true });
  for (const [name, change] of Object.entries(changes)) {
    const file = JSON.parse(readText(`${sample}/${name}`)) as Record<string, unknown>;
    writeFileSync(path.join(folder, name), JSON.stringify({ ...file, ...change }));
  }
  return folder;
}

describe('greedy text equals that of transformers', () => {
  test.for(cases.map(({ prompt }, index) => [prompt, index] as const))('%s', async ([prompt, index], { runtime }) => {
    const golden = cases[index] as (typeof cases)[number];
    const steps: ProgressStep[] = [];
    const context = workContext(runtime, { progress: (step) => void steps.push(step) });
    const report = await generateText(spec({ prompt, greedy: true, maxTokens: 64 }), context);
    expect(report).toMatchObject({ promptTokens: golden.ids, tokens: golden.tokens, text: golden.text, stopped: 'length' });
    // The progress carries the text as it grows.
    const texts = steps.map(({ text = '' }) => text);
    expect(texts.at(-1)).toBe(golden.text);
    expect(texts.length).toBeGreaterThan(2);
    for (const [at, text] of texts.entries()) expect(text.startsWith(texts[at - 1] ?? '')).toBe(true);
  });

  test('from an ONNX language model, with and without its cache', async ({ runtime, folder }) => {
    const graph = await decoderGraph(sample);
    for (const cached of [true, false]) {
      const out = path.join(folder, String(cached));
      mkdirSync(path.join(out, 'onnx'), { recursive: true });
      for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json']) cpSync(path.join(model, name), path.join(out, name));
      const outputs = cached ? graph.outputs : graph.outputs.filter(({ name }) => name === 'logits');
      await writeOnnxModel({ ...graph, outputs }, path.join(out, 'onnx', 'model.onnx'));
      const [golden] = cases as [(typeof cases)[number]];
      const count = cached ? 64 : 20;
      const report = await generateText(
        spec({ model: path.join(out, 'onnx', 'model.onnx'), prompt: golden.prompt, greedy: true, maxTokens: count }),
        workContext(runtime),
      );
      expect(report.tokens).toEqual(golden.tokens.slice(0, count));
      const sampled = await generateText(
        spec({ model: path.join(out, 'onnx', 'model.onnx'), maxTokens: 12, topK: 5, repetitionPenalty: 1.2 }),
        workContext(runtime, { seed: 3 }),
      );
      // The draws are the same as those from weights; the logits differ by rounding.
      const fromWeights = await generateText(spec({ maxTokens: 12, topK: 5, repetitionPenalty: 1.2 }), workContext(runtime, { seed: 3 }));
      expect(sampled.tokens).toEqual(fromWeights.tokens);
    }
  });
});

test('a repetition penalty and limits change the text', async ({ runtime }) => {
  const text = async (more: Partial<GenerateSpec>) => (await generateText(spec({ maxTokens: 48, ...more }), workContext(runtime))).tokens;
  const plain = await text({ greedy: true });
  const penalised = await text({ greedy: true, repetitionPenalty: 1.5 });
  expect(new Set(penalised).size).toBeGreaterThan(new Set(plain).size);
  // The most probable token alone is the greedy one.
  expect(await text({ topK: 1, temperature: 2 })).toEqual(plain);
  expect(await text({ topP: 1e-6 })).toEqual(plain);
});

describe('start and end', () => {
  test('an end token ends the text and is not part of it', async ({ runtime, folder }) => {
    // Token 15 is the full stop: here it ends a text, as only generation_config.json says.
    const changed = changedSample(folder, { 'generation_config.json': { eos_token_id: [1, 15] } });
    const report = await generateText(spec({ model: changed, prompt: cases[0]?.prompt ?? '', greedy: true }), workContext(runtime));
    expect(report).toMatchObject({ stopped: 'end', text: ' the man who had been in the first way of the man who had been in the world' });
    expect(report.tokens.at(-1)).toBe(15);
  });

  test('without a prompt the start token is it, and without both nothing is', async ({ runtime, folder }) => {
    const report = await generateText(spec({ prompt: '', maxTokens: 4 }), workContext(runtime));
    expect(report.promptTokens).toEqual([0]);
    const none = changedSample(folder, { 'config.json': { bos_token_id: null }, 'tokenizer_config.json': { bos_token: null } });
    const given = await generateText(spec({ model: none, maxTokens: 4 }), workContext(runtime));
    expect(given.promptTokens).toEqual(cases[1]?.ids.slice(1));
    const refused = generateText(spec({ model: none, prompt: '' }), workContext(runtime));
    await expect(refused).rejects.toThrow(
      /without a prompt requires a start token, but neither tokenizer_config.json nor config.json names one/,
    );
  });

  test('a tokenizer that adds no start token puts none before a prompt', async ({ runtime, folder }) => {
    const changed = changedSample(folder, { 'tokenizer_config.json': { add_bos_token: false } });
    const { promptTokens } = await generateText(spec({ model: changed, maxTokens: 1 }), workContext(runtime));
    expect(promptTokens).toEqual(cases[1]?.ids.slice(1));
  });
});

describe('a chat template', () => {
  const [turns] = chat as [(typeof chat)[number]];

  test.for(chat.map(({ name }, index) => [name, index] as const))(
    'is filled in as by transformers: %s',
    async ([, index], { runtime, folder }) => {
      const { template, prompt, ids } = chat[index] as (typeof chat)[number];
      const inConfig = changedSample(path.join(folder, 'a'), { 'tokenizer_config.json': { chat_template: template } });
      const named = [
        { name: 'tool_use', template: 'no' },
        { name: 'default', template },
      ];
      const inList = changedSample(path.join(folder, 'b'), { 'tokenizer_config.json': { chat_template: named } });
      const inFile = changedSample(path.join(folder, 'c'), { 'tokenizer_config.json': { chat_template: 'no' } });
      writeFileSync(path.join(inFile, 'chat_template.jinja'), template);
      for (const changed of [inConfig, inList, inFile]) {
        const report = await generateText(spec({ model: changed, prompt, maxTokens: 1 }), workContext(runtime));
        expect(report.promptTokens).toEqual(ids);
      }
    },
  );

  test('is not applied to a raw prompt, nor without a prompt', async ({ runtime, folder }) => {
    const changed = changedSample(folder, { 'tokenizer_config.json': { chat_template: turns.template } });
    const tokens = async (more: Partial<GenerateSpec>) =>
      (await generateText(spec({ model: changed, maxTokens: 1, ...more }), workContext(runtime))).promptTokens;
    expect(await tokens({ raw: true })).toEqual(cases[1]?.ids);
    expect(await tokens({ prompt: '' })).toEqual([0]);
  });

  test('that fails is named as such', async ({ runtime, folder }) => {
    for (const template of ["{{ raise_exception('Only tools.') }}", '{% if %}']) {
      const changed = changedSample(folder, { 'tokenizer_config.json': { chat_template: template } });
      const refused = generateText(spec({ model: changed }), workContext(runtime));
      await expect(refused).rejects.toMatchObject({ code: 'unsupported', message: expect.stringContaining('chat template') as string });
    }
  });
});

test('each token has its log probability, the largest of a greedy text', async ({ runtime }) => {
  const greedy = await generateText(spec({ greedy: true, maxTokens: 20 }), workContext(runtime));
  const hot = await generateText(spec({ temperature: 5, maxTokens: 20 }), workContext(runtime));
  for (const { tokens, logProbabilities } of [greedy, hot]) expect(logProbabilities).toHaveLength(tokens.length);
  // The most probable of 4,096 tokens has at least their mean probability.
  for (const value of greedy.logProbabilities) expect(value >= Math.log(1 / 4096) && value <= 0).toBe(true);
  expect(Math.min(...hot.logProbabilities)).toBeLessThan(Math.log(1 / 4096));
});

test('a model whose logits are no numbers is refused', async ({ runtime, folder }) => {
  const changed = changedSample(folder, {});
  const file = path.join(changed, 'model.safetensors');
  const bytes = readFileSync(file);
  const headerBytes = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerBytes)) as Record<string, { data_offsets: [number, number] }>;
  // float16 NaN in the final norm.
  bytes.writeUInt16LE(0x7e00, 8 + headerBytes + (header['model.norm.weight']?.data_offsets[0] as number));
  writeFileSync(file, bytes);
  for (const greedy of [true, false])
    await expect(generateText(spec({ model: changed, greedy }), workContext(runtime))).rejects.toMatchObject({
      code: 'malformed-file',
      message: expect.stringContaining('NaN') as string,
    });
});

describe('before anything runs', () => {
  test.for([
    [
      'more tokens than the context has room for',
      { maxTokens: 507 },
      /6 tokens of prompt and 507 generated ones exceed the model's context of 512\. Generate at most 506/,
    ],
    ['a prompt as long as the context', { prompt: 'night '.repeat(520) }, /The prompt has \d+ tokens, but the model's context is 512/],
    [
      'a graph that is no language model',
      { model: path.join(projectRoot, 'media/samples/digits/digits-mlp.onnx') },
      /requires an ONNX graph with the input 'input_ids'/,
    ],
    ['weights without a config', { model: path.join(model, 'model.safetensors') }, /has only weights/],
  ] as const)('%s is refused', async ([, more, message], { runtime }) => {
    await expect(generateText(spec(more), workContext(runtime))).rejects.toThrow(message);
    await expect(estimateGenerate(spec(more))).rejects.toThrow(message);
  });

  test('the forecast covers what a run takes', async ({ runtime }) => {
    const before = process.memoryUsage.rss();
    const { hostMemoryBytes } = await estimateGenerate(spec({ maxTokens: 200 }));
    await generateText(spec({ maxTokens: 200 }), workContext(runtime));
    expect(process.memoryUsage.rss() - before).toBeLessThan(hostMemoryBytes);
    expect(hostMemoryBytes).toBeLessThan(400e6);
  });
});
