import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { compressModel } from '../../../src/engine/compress/compressModel';
import { estimateCompress } from '../../../src/engine/compress/estimateCompress';
import { evaluateModel } from '../../../src/engine/evaluate/evaluateModel';
import { decodeToFloat32 } from '../../../src/engine/formats/decode';
import { SafetensorsWriter } from '../../../src/engine/formats/safetensors/writer';
import { writeOnnxModel } from '../../../src/engine/formats/onnx/writeOnnxModel';
import { GraphBuilder, ints } from '../../../src/engine/graph/builder';
import { openContainer } from '../../../src/engine/models/openContainer';
import { operators } from '../../../src/engine/ops/index';
import { openForInspection } from '../../../src/engine/outputs/readableOutput';
import type { Runtime } from '../../../src/engine/runtime/types';
import type { CompressSpec } from '../../../src/protocol/jobs';
import { test } from '../../support/fixtures';
import { modelWithHeadCopy, tiedModel } from '../../support/headCopy';
import { failureOf } from '../../support/formatFiles';
import { writeHeaderModel } from '../../support/headerModel';
import { workContext } from '../../support/workContext';

const models = join(__dirname, '..', '..', 'fixtures', 'models');

function run(model: string, out: string, runtime: Runtime, more: Partial<CompressSpec> = {}) {
  return compressModel({ ...specOf(model, out), ...more }, workContext(runtime));
}

function specOf(model: string, out: string): CompressSpec {
  return { kind: 'compress', model, method: 'rtn', parameters: { bits: 8 }, format: 'hf', out };
}

/** A fixture with another config. */
function changed(folder: string, fixture: string, change: (config: Record<string, unknown>) => Record<string, unknown>): string {
  const model = join(folder, `changed-${fixture}`);
  cpSync(join(models, fixture), model, { recursive: true });
  const config = JSON.parse(readFileSync(join(model, 'config.json'), 'utf8')) as Record<string, unknown>;
  writeFileSync(join(model, 'config.json'), JSON.stringify(change(config)));
  return model;
}

describe('a model whose architecture is not known', () => {
  const tensors = {
    'transformer.wte.weight': ['F32', 64, 32],
    'transformer.wpe.weight': ['F32', 16, 32],
    'transformer.h.0.attn.c_attn.weight': ['F32', 32, 96],
    'transformer.h.1.attn.c_attn.weight': ['F32', 32, 96],
    'transformer.h.0.mlp.gate.weight': ['F32', 4, 32],
    'transformer.h.0.A_log': ['F32', 8, 32],
    'lm_head.weight': ['F32', 64, 32],
  } as const;

  test('lists what is guessed, in the forecast and in the report, and leaves embeddings, heads, routers and constants alone', async ({
    folder,
    runtime,
  }) => {
    const model = writeHeaderModel(folder, 'model', tensors, { architectures: ['GPT2LMHeadModel'] });
    const report = await run(model, join(folder, 'out'), runtime);
    expect(report.layers.map(({ name }) => name)).toEqual(['transformer.h.0.attn.c_attn.weight', 'transformer.h.1.attn.c_attn.weight']);
    const { notes } = await estimateCompress(specOf(model, join(folder, 'other')));
    for (const said of [notes.join(' '), report.notes.join(' ')]) {
      expect(said).toMatch(
        /GPT2LMHeadModel do: roles are guessed from names\. Compressed: transformer\.h\.\*\.attn\.c_attn\.weight \(2\)\./,
      );
      expect(said).toMatch(/as embeddings by name: transformer\.wte\.weight, transformer\.wpe\.weight \(--embeddings/);
      expect(said).toMatch(/as output layers by name: lm_head\.weight \(--head/);
      expect(said).toMatch(/as routers by name: transformer\.h\.\*\.mlp\.gate\.weight/);
      expect(said).toMatch(/as constants by name: transformer\.h\.\*\.A_log/);
    }
  });

  test('what is left alone by name is compressed where it is asked for', async ({ folder, runtime }) => {
    const model = writeHeaderModel(folder, 'model', tensors);
    const named = async (out: string, more: Partial<CompressSpec>) =>
      (await run(model, join(folder, out), runtime, more)).layers.map(({ name }) => name);
    expect(await named('a', { embeddings: true, tensors: '*.w?e.*' })).toEqual(['transformer.wte.weight', 'transformer.wpe.weight']);
    expect(await named('b', { head: true, tensors: 'lm_head*' })).toEqual(['lm_head.weight']);
    expect(await named('c', { tensors: '*.mlp.gate.weight' })).toEqual(['transformer.h.0.mlp.gate.weight']);
    expect(await named('d', { tensors: '*a_log,*A_log' })).toEqual(['transformer.h.0.A_log']);
    expect(await named('e', { tensors: '*' })).toHaveLength(2);
  });
});

describe('a known architecture with a setting that cannot be run', () => {
  const settings: readonly (readonly [string, Record<string, unknown>])[] = [
    ['yarn', { rope_scaling: { rope_type: 'yarn', factor: 4 }, rope_parameters: undefined }],
    ['dynamic', { rope_scaling: { type: 'dynamic', factor: 2 }, rope_parameters: undefined }],
    [
      'longrope',
      { rope_parameters: { rope_type: 'longrope', rope_theta: 1e4, long_factor: [1], short_factor: [1] }, rope_scaling: undefined },
    ],
    ['another activation', { hidden_act: 'gelu' }],
    ['partial rotation', { partial_rotary_factor: 0.5 }],
  ];

  test.for(settings)(
    '%s: hf and archive have the bytes of the ordinary model, and a note says what is not checked',
    async ([, setting], { folder, runtime }) => {
      const model = changed(folder, 'tiny-qwen2', (config) => ({ ...config, ...setting }));
      for (const format of ['hf', 'archive'] as const) {
        const report = await run(model, join(folder, format), runtime, { format });
        const plain = await run(join(models, 'tiny-qwen2'), join(folder, `${format}-plain`), runtime, { format });
        expect(report.verification).toMatchObject({ passed: true, scope: 'bytes' });
        expect(report.layers.map(({ name }) => name)).toEqual(plain.layers.map(({ name }) => name));
        expect(report.notes.filter((note) => /^Only bytes are checked: config\.json sets /.test(note))).toHaveLength(1);
        expect(report.notes.join(' ')).not.toMatch(/guessed/);
        for (const { path } of report.outputs.filter((file) => /\.(safetensors|loomq)$/.test(file.path)))
          expect(readFileSync(join(folder, format, path)).equals(readFileSync(join(folder, `${format}-plain`, path)))).toBe(true);
      }
      for (const format of ['onnx', 'onnx-fast', 'onnx-packed'] as const)
        expect((await failureOf(() => run(model, join(folder, format), runtime, { format }))).message).toMatch(
          /needs a graph\. config\.json sets/,
        );
      const text = join(models, '..', 'text', 'eval-play.txt');
      const evaluation = () => evaluateModel({ kind: 'evaluate', model, text, window: 16, limit: 1 }, workContext(runtime));
      expect(await failureOf(evaluation)).toMatchObject({ code: 'unsupported' });
    },
  );
});

describe('a config that ties the head to the embedding, and a file that has a head', () => {
  /** tiny-llama-linear, which is tied, with a head: that of the embedding times `factor`. */
  async function withHead(folder: string, name: string, factor: number, tie: boolean): Promise<string> {
    const source = await openContainer(join(models, 'tiny-llama-linear'));
    const model = join(folder, name);
    mkdirSync(model);
    for (const each of ['tokenizer.json', 'tokenizer_config.json']) cpSync(join(models, 'tiny-llama-linear', each), join(model, each));
    writeFileSync(join(model, 'config.json'), JSON.stringify({ ...source.config, tie_word_embeddings: tie }));
    const entries = [...source.tensors.values()];
    const embedding = source.tensors.get('model.embed_tokens.weight')!;
    const writer = await SafetensorsWriter.create(
      model,
      [...entries, { ...embedding, name: 'lm_head.weight', dtype: 'float32' as const }].map(({ name: key, dtype, shape }) => ({
        name: key,
        dtype,
        shape,
      })),
    );
    for (const entry of entries) await writer.write(entry.name, await source.read(entry.name));
    const values = decodeToFloat32(embedding.dtype, await source.read(embedding.name)).map((value) => value * factor);
    await writer.write('lm_head.weight', new Uint8Array(values.buffer));
    await writer.finish();
    await source.close();
    return model;
  }

  test('as in transformers 5, the head of the file is used, and it is said', async ({ folder, runtime }) => {
    const text = join(models, '..', 'text', 'eval-play.txt');
    const loss = (model: string) => evaluateModel({ kind: 'evaluate', model, text, window: 32, limit: 4 }, workContext(runtime));
    const untied = await loss(await withHead(folder, 'untied', 0.5, false));
    const wrong = await withHead(folder, 'wrong', 0.5, true);
    const tied = await loss(join(models, 'tiny-llama-linear'));
    const found = await loss(wrong);
    expect(found.value).toBeCloseTo(untied.value, 6);
    expect(Math.abs(found.value - tied.value)).toBeGreaterThan(0.01);
    expect(JSON.stringify(found)).toContain('lm_head.weight has values of its own');
    for (const format of ['hf', 'onnx-packed'] as const) {
      const report = await run(wrong, join(folder, format), runtime, { format, parameters: { bits: 8 } });
      expect(report.verification).toMatchObject({ passed: true, scope: 'whole' });
      expect(report.notes.join(' ')).toContain('lm_head.weight has values of its own');
    }
  });
});

describe('a tied config, and a file that has the embedding again as its head', () => {
  const weights = (folder: string, file: string) => readFileSync(join(folder, file));

  test.for(['embeddings', 'head'] as const)('with --%s the two are compressed and written once', async (asked, { folder, runtime }) => {
    const model = await modelWithHeadCopy(folder);
    for (const format of ['hf', 'archive'] as const) {
      const settings = { format, [asked]: true, parameters: { bits: 4 } };
      const [report, expected] = [
        await run(model, join(folder, format), runtime, settings),
        await run(tiedModel, join(folder, `${format}-plain`), runtime, settings),
      ];
      expect(report.verification).toMatchObject({ passed: true, scope: 'whole' });
      expect(report.layers.map(({ name }) => name)).toEqual(expected.layers.map(({ name }) => name));
      expect(report.layers.map(({ name }) => name)).toContain('model.embed_tokens.weight');
      expect(report.notes.filter((note) => note.startsWith('lm_head.weight repeats the embedding'))).toHaveLength(1);
      const file = format === 'hf' ? 'model.safetensors' : 'model.loomq';
      expect(weights(join(folder, format), file).equals(weights(join(folder, `${format}-plain`), file))).toBe(true);
    }
  });

  test('a glob that names the head means the embedding: both are one tensor, and what is written is what was asked for', async ({
    folder,
    runtime,
  }) => {
    const model = await modelWithHeadCopy(folder);
    const common = { head: true, parameters: { bits: 4 } };
    for (const format of ['hf', 'archive', 'onnx-fast'] as const) {
      const settings = { ...common, format, overrides: [{ glob: 'lm_head.weight', parameters: { bits: 8 } }] };
      const { layers } = await run(model, join(folder, `${format}-override`), runtime, settings);
      expect(layers.find(({ name }) => name === 'model.embed_tokens.weight')?.bits).toBe(8);
    }
    const report = await run(model, join(folder, 'only'), runtime, {
      ...common,
      format: 'hf',
      tensors: 'lm_head*',
      parameters: { bits: 1 },
    });
    expect(report.layers.map(({ name }) => name)).toEqual(['model.embed_tokens.weight']);
    expect(report.verification.change?.measured).toBeGreaterThan(0.001);
    // What others read: a text is scored differently, and the file has no head beside the changed embedding.
    const text = join(models, '..', 'text', 'eval-play.txt');
    const loss = async (path: string) =>
      (await evaluateModel({ kind: 'evaluate', model: path, text, window: 32, limit: 4 }, workContext(runtime))).value;
    expect(Math.abs((await loss(join(folder, 'only'))) - (await loss(model)))).toBeGreaterThan(0.01);
    const written = await openContainer(join(folder, 'only'));
    expect([...written.tensors.keys()]).not.toContain('lm_head.weight');
    await written.close();
  });

  test('where the embedding stays, so does the copy', async ({ folder, runtime }) => {
    const model = await modelWithHeadCopy(folder);
    const report = await run(model, join(folder, 'hf'), runtime, { format: 'hf', parameters: { bits: 4 } });
    expect(report.verification.passed).toBe(true);
    expect(report.notes.join(' ')).not.toContain('repeats the embedding');
    const written = await openContainer(join(folder, 'hf'));
    expect(await written.read('lm_head.weight')).toEqual(await written.read('model.embed_tokens.weight'));
    await written.close();
  });
});

test('a kernel of one axis of places is compressed alike from safetensors and from ONNX', async ({ folder, runtime }) => {
  const values = Float32Array.from({ length: 8 * 4 * 3 }, (_, index) => Math.sin(index * 1.7));
  const bytes = new Uint8Array(values.buffer);
  const build = new GraphBuilder(operators, 'conv');
  const x = build.input('x', { dtype: 'float32', shape: ['N', 4, 16] });
  const weight = build.constant({ kind: 'inline', dtype: 'float32', shape: [8, 4, 3], bytes }, 'conv.weight');
  build.output(build.op('Conv', [x, weight], { kernel_shape: ints([3]) }), 'y');
  const onnx = join(folder, 'conv.onnx');
  await writeOnnxModel(build.finish(), onnx);
  mkdirSync(join(folder, 'conv'));
  const writer = await SafetensorsWriter.create(join(folder, 'conv'), [{ name: 'conv.weight', dtype: 'float32', shape: [8, 4, 3] }]);
  await writer.write('conv.weight', bytes);
  await writer.finish();
  const parameters = { bits: 4, groupSize: 4 };
  const first = await run(onnx, join(folder, 'a'), runtime, { format: 'onnx-packed', parameters });
  const second = await run(join(folder, 'conv', 'model.safetensors'), join(folder, 'b'), runtime, { format: 'hf', parameters });
  expect(second.layers).toMatchObject([{ name: 'conv.weight', bits: 4, relativeError: first.layers[0]!.relativeError }]);
  const read = async (out: string) => {
    const container = await openForInspection(join(folder, out));
    const result = await container.read('conv.weight');
    await container.close();
    return [...new Float32Array(Uint8Array.from(result).buffer)];
  };
  expect(await read('b')).toEqual(await read('a'));
});
