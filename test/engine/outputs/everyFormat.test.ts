import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect } from 'vitest';
import { compressModel } from '../../../src/engine/compress/compressModel';
import { decodeToFloat32 } from '../../../src/engine/formats/decode';
import { openContainer } from '../../../src/engine/models/openContainer';
import type { CompressSpec, OutputFormat } from '../../../src/protocol/jobs';
import type { CompressReport } from '../../../src/protocol/report';
import { expectErrorsAgree } from '../../support/expectErrorsAgree';
import { test as base } from '../../support/fixtures';
import { workContext } from '../../support/workContext';

/** Tiny models: Llama in float16; the same with tied embeddings, linear rope and bfloat16; Mistral; Qwen2 with biases, float32 and three shards. */
const models = ['tiny-llama', 'tiny-llama-linear', 'tiny-mistral', 'tiny-qwen2'] as const;
const formats: readonly OutputFormat[] = ['hf', 'onnx', 'onnx-fast', 'onnx-packed'];
const onnxFormats: readonly OutputFormat[] = ['onnx', 'onnx-fast', 'onnx-packed'];
const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));
const sample = fileURLToPath(new URL('../../../media/samples/loom-base', import.meta.url));

type Compress = (model: string, format: OutputFormat, more?: Partial<CompressSpec>) => Promise<CompressReport>;

const test = base.extend<{ readonly out: string; readonly compress: Compress }>({
  out: ({ folder }, use) => use(join(folder, 'out')),
  compress: async ({ out, runtime }, use) => {
    await use((model, format, more = {}) => {
      const spec: CompressSpec = { kind: 'compress', model, method: 'rtn', parameters: {}, format, out, ...more };
      return compressModel(spec, workContext(runtime));
    });
  },
});

/** Every pair of a first and a second. */
function pairs<A, B>(first: readonly A[], second: readonly B[]): [A, B][] {
  return first.flatMap((a) => second.map((b): [A, B] => [a, b]));
}

const wholeChecks = {
  hf: ['bytes', 'values', 'blocks', 'logits-exact'],
  onnx: ['bytes', 'values', 'graph', 'blocks', 'logits-disabled', 'logits-exact', 'divergence-default'],
  'onnx-fast': ['bytes', 'values', 'graph', 'blocks', 'logits-disabled', 'logits-exact', 'logits-default'],
  'onnx-packed': ['bytes', 'values', 'graph', 'blocks', 'logits-disabled', 'logits-exact', 'logits-default'],
};

describe.each(pairs(models, formats))('%s as %s', (model, format) => {
  test('is whole, and its report is complete', async ({ out, compress }) => {
    const report = await compress(fixture(`models/${model}`), format, { seed: 7 });
    expect(report.verification).toMatchObject({ passed: true, scope: 'whole' });
    expect(report.verification.checks.map(({ name }) => name)).toEqual(wholeChecks[format as keyof typeof wholeChecks]);
    expectComplete(report, out);
    expect(report.seed).toBe(7);
    expect(report.layers.length).toBe(14);
    expect(report.layers.every(({ relativeError }) => relativeError > 0.01 && relativeError < 0.2)).toBe(true);
    // Rounding to bfloat16 adds at most 2^-9 to errors of 5 % and more.
    await expectErrorsAgree(fixture(`models/${model}`), out, report.layers, format === 'hf' ? 2e-3 : 0);
  });
});

/** Everything that the design asks of report.json: inputs with hashes, parameters, sizes, errors, times, memory, environment. */
function expectComplete(report: CompressReport, out: string): void {
  expect(JSON.parse(readFileSync(join(out, 'report.json'), 'utf8'))).toEqual(JSON.parse(JSON.stringify(report)));
  expect(report).toMatchObject({ kind: 'compress', method: 'rtn', version: expect.stringMatching(/^\d+\.\d+\.\d+/) as string });
  expect(report.settings).toEqual({
    bits: 4,
    groupSize: 32,
    symmetric: false,
    scales: 'float16',
    clip: false,
    embeddings: false,
    head: false,
  });
  expect(report.source.architecture).not.toBe('unknown');
  const inputs = report.source.files.map(({ path }) => path);
  expect(inputs).toEqual(expect.arrayContaining(['config.json', 'tokenizer.json']));
  expect(inputs.some((path) => path.endsWith('.safetensors'))).toBe(true);
  for (const { bytes, sha256 } of report.source.files) {
    expect(bytes).toBeGreaterThan(0);
    expect(sha256).toMatch(/^[0-9a-f]{64}$/);
  }
  for (const { path, bytes } of report.outputs) expect(statSync(join(out, path)).size).toBe(bytes);
  expect(existsSync(join(out, report.primary))).toBe(true);
  for (const value of [report.parameterCount, report.bitsPerWeight, report.bytesBefore, report.bytesAfter, report.seconds])
    expect(value).toBeGreaterThan(0);
  expect(report.peakRssBytes).toBeGreaterThan(10e6);
  expect(report.environment).toMatchObject({ provider: 'cpu', threads: 1 });
  for (const layer of report.layers) expect(Object.values(layer).every((value) => value !== undefined && value !== null)).toBe(true);
}

describe('widths', () => {
  test.for(pairs([1, 2, 3, 5, 6, 7, 8], ['onnx', 'onnx-packed'] as const))('%d bits as %s', async ([bits, format], { out, compress }) => {
    const report = await compress(fixture('models/tiny-qwen2'), format, { parameters: { bits, groupSize: 16, symmetric: bits % 2 === 0 } });
    expect(report.verification).toMatchObject({ passed: true, scope: 'whole' });
    expect(new Set(report.layers.map((layer) => layer.bits))).toEqual(new Set([bits]));
    await expectErrorsAgree(fixture('models/tiny-qwen2'), out, report.layers);
  });

  test.for(pairs([2, 8], [false, true]))('%d bits as onnx-fast, symmetric %s', async ([bits, symmetric], { compress }) => {
    const report = await compress(fixture('models/tiny-llama'), 'onnx-fast', { parameters: { bits, groupSize: 16, symmetric } });
    expect(report.verification).toMatchObject({ passed: true, scope: 'whole' });
    expect(report.primary).toBe(`onnx/model_q${bits}.onnx`);
  });

  test.for(onnxFormats)('mixed as %s, listed for each layer', async (format, { out, compress }) => {
    const report = await compress(fixture('models/tiny-mistral'), format, {
      overrides: [
        { glob: '*.down_proj.weight', parameters: { bits: 8 } },
        { glob: '*.0.self_attn.{q,k}_proj.weight', parameters: { bits: 2, groupSize: 16 } },
      ],
    });
    expect(report.verification).toMatchObject({ passed: true, scope: 'whole' });
    for (const { name, bits } of report.layers)
      expect(bits).toBe(name.includes('down_proj') ? 8 : /\.0\.self_attn\.[qk]_/.test(name) ? 2 : 4);
    await expectErrorsAgree(fixture('models/tiny-mistral'), out, report.layers);
  });
});

describe('groups', () => {
  test.for(pairs(['row', 'tensor', 16] as const, formats))('%s as %s', async ([groupSize, format], { compress }) => {
    const report = await compress(fixture('models/tiny-qwen2'), format, { parameters: { groupSize, symmetric: groupSize === 'tensor' } });
    expect(report.verification).toMatchObject({ passed: true, scope: 'whole' });
  });

  test.for(pairs([64, 256], formats))('of %d in rows of 688 as %s: the last one is shorter', async ([groupSize, format], { compress }) => {
    const report = await compress(sample, format, { tensors: '*.layers.1.mlp.down_proj.weight', parameters: { groupSize } });
    expect(report.layers.map(({ shape }) => shape)).toEqual([[256, 688]]);
    expect(report.verification).toMatchObject({ passed: true, scope: 'whole' });
  });
});

describe('embeddings and head', () => {
  const asked: readonly [string, Partial<CompressSpec>, readonly string[]][] = [
    ['tiny-qwen2', { embeddings: true }, ['model.embed_tokens.weight']],
    ['tiny-qwen2', { head: true }, ['lm_head.weight']],
    ['tiny-qwen2', { embeddings: true, head: true }, ['lm_head.weight', 'model.embed_tokens.weight']],
    ['tiny-llama-linear', { embeddings: true }, ['model.embed_tokens.weight']],
    ['tiny-llama-linear', { head: true }, ['model.embed_tokens.weight']],
  ];
  test.for(asked.flatMap((each) => formats.map((format) => [...each, format] as const)))(
    '%s, %o: %s as %s',
    async ([model, more, names, format], { compress }) => {
      const report = await compress(fixture(`models/${model}`), format, more);
      expect(report.verification).toMatchObject({ passed: true, scope: 'whole' });
      const outside = report.layers.map(({ name }) => name).filter((name) => !name.includes('.layers.'));
      expect(outside.sort()).toEqual(names);
    },
  );

  test('embeddings of a model that has none to compress are refused', async ({ compress }) => {
    await expect(compress(fixture('../../media/samples/digits/digits-mlp.onnx'), 'onnx', { embeddings: true })).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(/embedding.*Omit --embeddings/) as string,
    });
  });
});

describe('conversion without compression', () => {
  test.for(pairs(models, ['hf', 'onnx'] as const))('%s as %s: the same values', async ([model, format], { out, compress }) => {
    const report = await compress(fixture(`models/${model}`), format, { method: 'none' });
    expect(report.verification).toMatchObject({ passed: true, scope: 'whole' });
    expect(report.primary).toBe(format === 'hf' ? '.' : 'onnx/model.onnx');
    expect(report.layers).toEqual([]);
    const [before, after] = [await openContainer(fixture(`models/${model}`)), await openContainer(join(out, report.primary))];
    for (const [name, { dtype, shape }] of before.tensors) {
      if (format === 'onnx' && !after.tensors.has(name)) expect(name).toMatch(/rotary/);
      else expect(after.tensors.get(name)).toMatchObject({ dtype, shape });
      expect(await after.read(name)).toEqual(await before.read(name));
    }
    await before.close();
    await after.close();
  });

  test.for(pairs(['float32', 'float16', 'bfloat16'] as const, ['hf', 'onnx'] as const))(
    'to %s as %s',
    async ([dtype, format], { out, compress }) => {
      const report = await compress(fixture('models/tiny-mistral'), format, { method: 'none', parameters: { dtype } });
      expect(report.verification).toMatchObject({ passed: true, scope: 'whole' });
      expect(report.source.files.map(({ path }) => path)).toContain('config.json');
      const written = await openContainer(join(out, report.primary));
      expect(written.tensors.get('model.norm.weight')?.dtype).toBe(dtype);
      await written.close();
      const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')) as Record<string, unknown>;
      expect(config['torch_dtype'] ?? config['dtype']).toBe(dtype);
    },
  );

  test.for(pairs(['tiny-f16', 'tiny-q8_0', 'tiny-q4_1'], ['hf', 'onnx'] as const))(
    '%s.gguf as %s',
    async ([name, format], { out, compress }) => {
      const report = await compress(fixture(`gguf/${name}.gguf`), format, { method: 'none' });
      expect(report.verification).toMatchObject({ passed: true, scope: 'whole' });
      expect(report.notes.some((note) => /written as float16/.test(note))).toBe(name !== 'tiny-f16');
      const written = await openContainer(join(out, report.primary));
      expect(written.tensors.get('model.layers.0.mlp.up_proj.weight')?.dtype).toBe('float16');
      await written.close();
    },
  );

  test('blocks of GGUF as float32 keep every value', async ({ out, compress }) => {
    const report = await compress(fixture('gguf/tiny-q5_0.gguf'), 'hf', { method: 'none', parameters: { dtype: 'float32' } });
    const [before, after] = [await openContainer(fixture('gguf/tiny-q5_0.gguf')), await openContainer(out)];
    const name = 'mlp.up_proj.weight';
    expect(report.verification.passed).toBe(true);
    expect(decodeToFloat32('float32', await after.read(`model.layers.0.${name}`))).toEqual(
      decodeToFloat32('q5_0', await before.read('blk.0.ffn_up.weight')),
    );
    await before.close();
    await after.close();
  });

  test.for(['onnx-fast', 'onnx-packed'] as const)('%s is refused: it holds compressed weights only', async (format, { compress }) => {
    await expect(compress(fixture('models/tiny-llama'), format, { method: 'none' })).rejects.toThrow(/Use the format hf, or onnx/);
  });

  test('an ONNX model keeps its types', async ({ compress }) => {
    const more = { method: 'none', parameters: { dtype: 'float16' } };
    await expect(compress(fixture('../../media/samples/digits/digits-mlp.onnx'), 'onnx', more)).rejects.toThrow(/fixes the types/);
    expect(await compress(fixture('../../media/samples/digits/digits-mlp.onnx'), 'onnx', { method: 'none' })).toMatchObject({
      primary: 'onnx/model.onnx',
    });
  });
});
