import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  openSync,
  readSync,
  writeSync,
  closeSync,
  copyFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { compressModel } from '../../../src/engine/compress/compressModel';
import { openContainer } from '../../../src/engine/models/openContainer';
import { createRuntime } from '../../../src/engine/runtime/runtime';
import { loomBaseAsGguf } from '../../support/loomGguf';
import type { CompressSpec, OutputFormat } from '../../../src/protocol/jobs';
import { workContext } from '../../support/workContext';
import type { WorkContext } from '../../../src/engine/runtime/workContext';

const sample = fileURLToPath(new URL('../../../media/samples/loom-base', import.meta.url));
const digits = fileURLToPath(new URL('../../../media/samples/digits/digits-mlp.onnx', import.meta.url));

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'loomweight-compress-'))));
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

function spec(format: OutputFormat, more: Partial<CompressSpec> = {}): CompressSpec {
  return { kind: 'compress', model: sample, method: 'rtn', parameters: {}, format, out: join(folder, 'out'), ...more };
}

async function compress(wanted: CompressSpec, more: Partial<WorkContext> = {}) {
  return compressModel(wanted, workContext(await createRuntime({ provider: 'cpu', threads: 1 }), more));
}

describe('sizes and reports', () => {
  test.each(['onnx-fast', 'onnx-packed'] as const)('%s at 4 bits, group 32: at most 5.2 bits per weight', async (format) => {
    const report = await compress(spec(format));
    expect(report.bitsPerWeight).toBeLessThan(4.7);
    expect(report.layers.length).toBe(28);
    expect(report.verification.scope).toBe('whole');
    expect(report.bytesAfter).toBeLessThan(report.bytesBefore * 0.55);
    expect(report.bytesAfter).toBe(report.outputs.find(({ path }) => path === report.primary)?.bytes);
    for (const { path, bytes } of report.outputs) expect(statSync(join(folder, 'out', path)).size).toBe(bytes);
    expect(report.source.files.find(({ path }) => path === 'model.safetensors')?.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(JSON.parse(readFileSync(join(folder, 'out', 'report.json'), 'utf8'))).toEqual(JSON.parse(JSON.stringify(report)));
  });

  test('the same settings give the same bytes', async () => {
    await compress(spec('onnx-packed', { out: join(folder, 'a') }));
    await compress(spec('onnx-packed', { out: join(folder, 'b') }));
    const read = (name: string) => readFileSync(join(folder, name, 'onnx', 'model.onnx'));
    expect(read('a').equals(read('b'))).toBe(true);
  });

  test('overrides, narrowed tensors and mixed widths', async () => {
    const report = await compress(
      spec('onnx-fast', {
        tensors: '*.layers.0.*',
        parameters: { bits: 4 },
        overrides: [{ glob: '*.down_proj.weight', parameters: { bits: 8, groupSize: 64 } }],
      }),
    );
    expect(report.primary).toBe('onnx/model_q4.onnx');
    expect(report.layers.map(({ bits }) => bits).sort()).toEqual([4, 4, 4, 4, 4, 4, 8]);
    expect(report.verification.passed).toBe(true);
    expect(report.verification.checks.map(({ name }) => name)).toContain('divergence-default');
  });

  test.each(['hf', 'onnx', 'onnx-fast', 'onnx-packed'] as const)('%s: a tied embedding and head are stored once', async (format) => {
    const report = await compress(spec(format, { embeddings: true, head: true, parameters: { bits: 8 } }));
    expect(report.layers.filter(({ name }) => name === 'model.embed_tokens.weight').length).toBe(1);
    expect(report.layers.length).toBe(29);
    expect(report.verification).toMatchObject({ passed: true, scope: 'whole' });
    const written = await openContainer(join(folder, 'out', format === 'hf' ? '.' : report.primary));
    const names = [...written.tensors.keys()].filter((name) => name.startsWith('model.embed_tokens'));
    await written.close();
    expect(names.some((name) => name.endsWith('.codes'))).toBe(format !== 'hf');
    if (format !== 'hf') expect(report.bytesAfter).toBeLessThan(5_500_000);
  });

  test.each([1, 3, 5, 6, 7])('onnx-packed at %d bits, symmetric and per row', async (bits) => {
    const report = await compress(spec('onnx-packed', { parameters: { bits, groupSize: 'row', symmetric: bits % 2 === 1 } }));
    expect(report.verification.passed).toBe(true);
    expect(report.bitsPerWeight).toBeLessThan(bits + 0.15);
  });
});

describe('other sources', () => {
  test.each(['onnx', 'onnx-fast', 'onnx-packed'] as const)('%s of an ONNX model keeps its other parts', async (format) => {
    const report = await compress(spec(format, { model: digits }));
    expect(report.layers.map(({ name }) => name)).toEqual(['fc1.weight', 'fc2.weight', 'fc3.weight']);
    expect(report.verification).toMatchObject({ passed: true, scope: 'whole' });
    const [before, after] = [await openContainer(digits), await openContainer(join(folder, 'out'))];
    expect(after.graph?.inputs).toEqual(before.graph?.inputs);
    expect(after.graph?.outputs).toEqual(before.graph?.outputs);
    expect(await after.read('fc1.bias')).toEqual(await before.read('fc1.bias'));
    await before.close();
    await after.close();
  });

  test.each(['hf', 'onnx-fast'] as const)('%s of a GGUF file equals that of the original directory', async (format) => {
    const file = join(folder, 'loom.gguf');
    writeFileSync(file, await loomBaseAsGguf('float16'));
    const report = await compress(spec(format, { model: file }));
    expect(report.verification).toMatchObject({ passed: true, scope: 'whole' });
    const original = await compress(spec(format, { out: join(folder, 'original') }));
    const errors = (layers: typeof report.layers) => Object.fromEntries(layers.map(({ name, relativeError }) => [name, relativeError]));
    expect(errors(report.layers)).toEqual(errors(original.layers));
    for (const name of ['config.json', 'tokenizer.json']) expect(existsSync(join(folder, 'out', name))).toBe(true);
  });

  test('an ONNX model as hf is refused, naming the formats that work', async () => {
    await expect(compress(spec('hf', { model: digits }))).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('use onnx, onnx-fast or onnx-packed') as string,
    });
  });

  test('a safetensors file without a graph: hf, checked by its bytes; ONNX refused', async () => {
    const file = join(folder, 'weights.safetensors');
    copyFileSync(join(sample, 'model.safetensors'), file);
    const report = await compress(spec('hf', { model: file }));
    expect(report.verification).toMatchObject({ passed: true, scope: 'bytes' });
    expect(report.primary).toBe('model.safetensors');
    await expect(compress(spec('onnx', { model: file, out: join(folder, 'other') }))).rejects.toThrow(/needs a graph/);
  });
});

describe('refusals before anything is written', () => {
  const refused: readonly [string, Partial<CompressSpec>, RegExp][] = [
    ['bits out of range', { parameters: { bits: 9 } }, /bits must be a whole number from 1 to 8, got 9/],
    ['unknown parameter', { parameters: { bitz: 4 } }, /Unknown parameter bitz/],
    ['unknown method', { method: 'magic' }, /Methods: rtn/],
    ['3 bits in onnx-fast', { format: 'onnx-fast', parameters: { bits: 3 } }, /2, 4 and 8 bits, not 3; .* onnx-packed/],
    [
      'group of 8 in onnx-fast',
      { format: 'onnx-fast', parameters: { groupSize: 8 } },
      /groups of 16, 32, 64, 128, 256 and whole rows, not 8/,
    ],
    ['a glob that matches nothing', { tensors: 'nothing*' }, /No tensor .* can be compressed/],
    [
      'an override that matches nothing',
      { overrides: [{ glob: 'nothing*', parameters: { bits: 8 } }] },
      /override 'nothing\*' matches no compressed tensor/,
    ],
    ['an output inside the model', { out: join(sample, 'out') }, /never modified in place/],
    ['a model that is not there', { model: '/nowhere/at/all' }, /There is no model/],
  ];
  test.each(refused)('%s', async (_name, more, message) => {
    await expect(compress(spec('onnx', more))).rejects.toThrow(message);
    expect(readdirSync(folder)).toEqual([]);
    expect(existsSync(join(sample, 'out'))).toBe(false);
  });

  test.each([
    ['vocab_size', 1e12, /requires 'model.embed_tokens.weight' with shape \[1000000000000, 256\], but it has shape \[4096, 256\]/],
    ['intermediate_size', 700, /mlp.*but it has/],
    ['num_hidden_layers', 5, /but there is no such tensor/],
  ])('a config whose %s does not match the weights', async (key, value, message) => {
    const model = join(folder, 'model');
    mkdirSync(model);
    for (const name of readdirSync(sample)) copyFileSync(join(sample, name), join(model, name));
    const config = JSON.parse(readFileSync(join(model, 'config.json'), 'utf8')) as Record<string, unknown>;
    writeFileSync(join(model, 'config.json'), JSON.stringify({ ...config, [key]: value }));
    await expect(compress(spec('onnx-fast', { model }))).rejects.toMatchObject({
      code: 'malformed-file',
      message: expect.stringMatching(message) as string,
    });
    expect(readdirSync(folder)).toEqual(['model']);
  });

  test('a folder that is not empty', async () => {
    mkdirSync(join(folder, 'out'));
    writeFileSync(join(folder, 'out', 'precious.txt'), 'kept');
    await expect(compress(spec('hf'))).rejects.toMatchObject({ code: 'invalid-argument' });
    expect(readdirSync(folder)).toEqual(['out']);
    expect(readFileSync(join(folder, 'out', 'precious.txt'), 'utf8')).toBe('kept');
  });
});

describe('failures leave nothing', () => {
  test.each(['hf', 'onnx-fast'] as const)('%s cancelled between tensors', async (format) => {
    const controller = new AbortController();
    const run = compress(spec(format), {
      signal: controller.signal,
      progress: ({ phase, done }) => void (phase === 'Compressing' && done === 5 && controller.abort()),
    });
    await expect(run).rejects.toMatchObject({ code: 'cancelled' });
    expect(readdirSync(folder)).toEqual([]);
  });

  test.each(['hf', 'onnx'] as const)('%s on a disk that fills up', async (format) => {
    const probe = await open(join(sample, 'config.json'));
    const prototype = Object.getPrototypeOf(probe) as { write: (...given: unknown[]) => Promise<unknown> };
    await probe.close();
    const original = prototype.write;
    let left = 1_000_000;
    vi.spyOn(prototype, 'write').mockImplementation(function (this: unknown, ...given: unknown[]) {
      left -= (given[0] as Uint8Array).byteLength;
      if (left < 0) return Promise.reject(Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }));
      return original.apply(this, given);
    });
    await expect(compress(spec(format))).rejects.toMatchObject({ code: expect.stringMatching(/ENOSPC|insufficient-disk/) as string });
    expect(readdirSync(folder)).toEqual([]);
  });

  const places: readonly [OutputFormat, string, number][] = [
    ['hf', 'model.safetensors', 3_000_000],
    ['onnx', 'onnx/model_quantized.onnx', 3_000_000],
    ['onnx-fast', 'onnx/model_q4.onnx', 3_000_000],
    ['onnx-packed', 'onnx/model.onnx', 3_000_000],
    ['onnx-packed', 'onnx/model.onnx', 100_000],
  ];
  test.each(places)('%s with one changed byte in %s at %d fails verification', async (format, file, offset) => {
    const run = (keepFailed: boolean) =>
      compress(spec(format, { keepFailed }), {
        progress: ({ phase }) => {
          if (phase !== 'Reading back') return;
          const temporary = readdirSync(folder).find((name) => name.endsWith('.tmp'))!;
          flipByte(join(folder, temporary, file), offset);
        },
      });
    await expect(run(false)).rejects.toMatchObject({
      code: 'verification-failed',
      message: expect.stringContaining('bytes: 1 mismatches') as string,
    });
    expect(readdirSync(folder)).toEqual([]);
    await expect(run(true)).rejects.toMatchObject({ code: 'verification-failed' });
    expect(existsSync(join(folder, 'out', file))).toBe(true);
  });
});

test('a directory whose config does not match the model fails verification', async () => {
  const run = compress(spec('hf'), {
    progress: ({ phase }) => {
      if (phase !== 'Reading back') return;
      const file = join(
        folder,
        readdirSync(folder).find((name) => name.endsWith('.tmp'))!,
        'config.json',
      );
      writeFileSync(file, readFileSync(file, 'utf8').replace(/"rope_theta": [0-9.]+/, '"rope_theta": 500'));
    },
  });
  await expect(run).rejects.toMatchObject({ code: 'verification-failed', message: expect.stringContaining('logits-exact') as string });
});

function flipByte(path: string, offset: number): void {
  const file = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, offset);
  byte[0] = byte[0]! ^ 1;
  writeSync(file, byte, 0, 1, offset);
  closeSync(file);
}
