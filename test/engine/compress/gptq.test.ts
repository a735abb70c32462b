import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compressModel } from '../../../src/engine/compress/compressModel';
import { estimateCompress } from '../../../src/engine/compress/estimateCompress';
import { calibrationWindows } from '../../../src/engine/compress/planning/calibrationWindows';
import { openSource } from '../../../src/engine/models/modelSource';
import type { CompressSpec } from '../../../src/protocol/jobs';
import type { CompressReport } from '../../../src/protocol/report';
import { openRuntime } from '../../support/fixtures';
import { workContext } from '../../support/workContext';

const sample = fileURLToPath(new URL('../../../media/samples/loom-base', import.meta.url));
const text = fileURLToPath(new URL('../../fixtures/text/eval-play.txt', import.meta.url));
const runtime = await openRuntime();

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'loomweight-gptq-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function textFile(text: string): string {
  const file = join(folder, 'text.txt');
  writeFileSync(file, text);
  return file;
}

function compress(more: Partial<CompressSpec>, seed = 0): Promise<CompressReport> {
  const spec: CompressSpec = {
    kind: 'compress',
    model: sample,
    method: 'gptq',
    parameters: {},
    format: 'hf',
    out: join(folder, 'out'),
    ...more,
  };
  return compressModel({ ...spec, seed }, workContext(runtime, { seed }));
}

/** Mean divergence from the float model in nats, as the report says. */
function divergence({ notes }: CompressReport): number {
  return Number(/diverges by (\S+) nats/.exec(notes.join(' '))?.[1]);
}

describe('on text', () => {
  const books = { calibration: text, samples: 8, window: 128 };

  test('3 bits: the model changes less than by rounding to nearest', async () => {
    const format = 'archive';
    const report = await compress({ ...books, format, parameters: { bits: 3 } });
    expect(report.verification.passed).toBe(true);
    expect(report.notes.join(' ')).toContain(`GPTQ was calibrated on 8 windows of 128 tokens of ${text}.`);
    expect(report.settings).toMatchObject({ actOrder: true, damping: 0.01, samples: 8, window: 128 });
    const control = await compress({ method: 'rtn', parameters: { bits: 3 }, format, out: join(folder, 'rtn') });
    expect(divergence(report)).toBeLessThan(0.8 * divergence(control));
    expect(report.bitsPerWeight).toBe(control.bitsPerWeight);
  });

  test('groups in the order of rounding are stored by onnx-packed and refused by the others before anything is read', async () => {
    const sorted = { ...books, parameters: { staticGroups: false, groupSize: 48 }, tensors: '*.layers.0.*' };
    expect((await compress({ ...sorted, format: 'onnx-packed' })).verification.passed).toBe(true);
    for (const format of ['onnx', 'onnx-fast', 'archive'] as const)
      await expect(compress({ ...sorted, format, out: join(folder, format) })).rejects.toThrow(
        /adjacent columns only; use (the format )?onnx-packed or hf/,
      );
  });

  test('under a budget the chosen widths are rounded by the method', async () => {
    const budget = { ...books, format: 'archive', budget: 2.5, sensitivity: 'error', tensors: '*.layers.3.*' } as const;
    const report = await compress({ ...budget, out: join(folder, 'gptq') });
    const control = await compress({
      ...budget,
      method: 'rtn',
      calibration: undefined,
      samples: undefined,
      window: undefined,
      out: join(folder, 'rtn'),
    });
    expect(report.bitsPerWeight).toBeLessThanOrEqual(2.5);
    expect(new Set(report.layers.map(({ bits }) => bits)).size).toBeGreaterThan(1);
    expect(divergence(report)).toBeLessThan(divergence(control));
    expect(report.verification.passed).toBe(true);
  });

  test('the same seed gives the same bytes, another seed other windows', async () => {
    const bytes = async (name: string, seed: number) => {
      await compress({ ...books, samples: 4, tensors: '*.layers.0.*', out: join(folder, name) }, seed);
      return readFileSync(join(folder, name, 'model.safetensors'));
    };
    const first = await bytes('a', 1);
    expect((await bytes('b', 1)).equals(first)).toBe(true);
    expect((await bytes('c', 2)).equals(first)).toBe(false);
  });
});

describe('calibration windows', () => {
  test('one from each stretch of the text, at a place drawn from the seed, after the start token', async () => {
    const source = await openSource(sample);
    try {
      const { config } = source.decoder!;
      const all = await calibrationWindows(source.container, config, { calibration: text, samples: 1e6, window: 33 }, 0);
      const whole = [...all.ids].filter((_, index) => index % 33 > 0);
      const few = await calibrationWindows(source.container, config, { calibration: text, samples: 5, window: 33 }, 7);
      expect(few).toMatchObject({ windows: 5, length: 33 });
      const starts = Array.from({ length: 5 }, (_, window) => {
        const own = [...few.ids.subarray(window * 33 + 1, (window + 1) * 33)];
        expect(few.ids[window * 33]).toBe(BigInt(config.bosTokenId!));
        return whole.findIndex((_id, place) => own.every((id, index) => whole[place + index] === id));
      });
      starts.forEach((start, window) => {
        expect(start).toBeGreaterThanOrEqual(Math.floor((window * whole.length) / 5));
        expect(start + 32).toBeLessThanOrEqual(Math.ceil(((window + 1) * (whole.length + 32)) / 5));
      });
      const other = await calibrationWindows(source.container, config, { calibration: text, samples: 5, window: 33 }, 8);
      expect(other.ids).not.toEqual(few.ids);
      expect(await calibrationWindows(source.container, config, { calibration: text, samples: 5, window: 33 }, 7)).toEqual(few);
    } finally {
      await source.container.close();
    }
  });
});

describe('bad input', () => {
  test.each([
    ['an empty text', '', /has 0 tokens, but one window needs 255/],
    [
      'a text shorter than a window',
      'To be, or not to be.',
      /has \d+ tokens, but one window needs 255\. Use a longer text or a smaller --window/,
    ],
  ])('%s', async (_, content, message) => {
    await expect(compress({ calibration: textFile(content) })).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringMatching(message) as string,
    });
    expect(readdirSync(folder)).toEqual(['text.txt']);
  });

  test('a window longer than the context', async () => {
    await expect(compress({ calibration: text, window: 513 })).rejects.toThrow(
      /window of 513 tokens is longer than the model's context of 512\. Use --window 512/,
    );
  });

  test('weights that make the activations NaN: the layer that meets them is named', async () => {
    const model = join(folder, 'model');
    cpSync(sample, model, { recursive: true });
    const file = join(model, 'model.safetensors');
    const bytes = readFileSync(file);
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE(0)))) as Record<
      string,
      { data_offsets: [number, number] }
    >;
    const norm = header['model.layers.1.input_layernorm.weight']!.data_offsets[0];
    bytes.writeUInt16LE(0x7e00, 8 + Number(bytes.readBigUInt64LE(0)) + norm);
    writeFileSync(file, bytes);
    await expect(compress({ model, calibration: text, samples: 2 })).rejects.toMatchObject({
      code: 'malformed-file',
      message: expect.stringMatching(/inputs of 'model\.layers\.1\.self_attn\.q_proj\.weight' are not finite/) as string,
    });
    expect(readdirSync(folder)).toEqual(['model']);
  });

  test('an ONNX model without an architecture', async () => {
    const model = fileURLToPath(new URL('../../../media/samples/digits/digits-mlp.onnx', import.meta.url));
    for (const budget of [{}, { budget: 4, sensitivity: 'divergence' as const }])
      await expect(compress({ model, format: 'onnx-packed', calibration: text, ...budget })).rejects.toMatchObject({
        code: 'unsupported',
        message: expect.stringContaining('The method gptq runs a language model block by block') as string,
      });
    await expect(
      estimateCompress({ kind: 'compress', model, method: 'gptq', parameters: {}, format: 'onnx-packed', out: join(folder, 'out') }),
    ).rejects.toMatchObject({ code: 'unsupported' });
  });
});
