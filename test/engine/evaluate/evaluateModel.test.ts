import { writeFileSync, cpSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { floatWeights } from '../../../src/engine/architectures/decoder/floatWeights';
import { recognizeModel } from '../../../src/engine/architectures/index';
import { evaluateModel } from '../../../src/engine/evaluate/evaluateModel';
import { openContainer } from '../../../src/engine/models/openContainer';
import { writeOnnxModel } from '../../../src/engine/formats/onnx/writeOnnxModel';
import { loadFloatWeights } from '../../support/loadFloatWeights';
import { workContext } from '../../support/workContext';
import { openRuntime, temporaryFolder } from '../../support/fixtures';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const fixture = (...parts: string[]) => path.join(root, 'test/fixtures', ...parts);
const runtime = await openRuntime(2);
const folder = temporaryFolder();

describe('text', () => {
  test('loom-base has perplexity 98.997 on the first 32 windows of eval-play', async () => {
    const report = await evaluateModel(
      { kind: 'evaluate', model: path.join(root, 'media/samples/loom-base'), text: fixture('text/eval-play.txt'), window: 256, limit: 32 },
      workContext(runtime),
    );
    expect(report.metric).toBe('perplexity');
    expect(Math.abs(report.value / 98.997 - 1)).toBeLessThan(0.001);
    expect(report).toMatchObject({ tokens: 8192, windows: 32, window: 256 });
    expect(report.choices.join('\n')).toMatch(/BOS 0/);
  });

  test('a sharded float32 Qwen2 with biases and untied output is evaluated, and its ONNX form gives the same', async () => {
    const text = path.join(folder, 'text.txt');
    writeFileSync(text, 'The weaver sets the warp, and the shuttle carries the weft from side to side; so the cloth grows. '.repeat(4));
    const spec = { kind: 'evaluate', model: fixture('models/tiny-qwen2'), text, window: 16 } as const;
    const report = await evaluateModel(spec, workContext(runtime));
    expect(report.loss).toBeGreaterThan(0);

    const container = await openContainer(spec.model);
    const { architecture, config } = recognizeModel(container.config!);
    const graph = architecture.buildLanguageModel(config, floatWeights(await loadFloatWeights(container)));
    await container.close();
    for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json'])
      cpSync(fixture('models/tiny-qwen2', name), path.join(folder, name));
    await writeOnnxModel(graph, path.join(folder, 'model.onnx'));
    const onnx = await evaluateModel({ ...spec, model: path.join(folder, 'model.onnx') }, workContext(runtime));
    expect(onnx.tokens).toBe(report.tokens);
    expect(Math.abs(onnx.loss - report.loss)).toBeLessThan(1e-5);
  });

  test('a window above the context is refused', async () => {
    const spec = { kind: 'evaluate', model: fixture('models/tiny-llama'), text: fixture('text/eval-play.txt'), window: 129 } as const;
    await expect(evaluateModel(spec, workContext(runtime))).rejects.toMatchObject({ code: 'invalid-argument' });
  });
});

describe('data', () => {
  const digits = {
    kind: 'evaluate',
    model: fixture('../../media/samples/digits/digits-mlp.onnx'),
    data: fixture('../../media/samples/digits/data'),
  } as const;

  // Figures of PyTorch for the same files.
  test.each([
    ['val', 0.9379, 0.239],
    ['test', 0.9778, 0.0853],
  ])('digits-mlp on %s', async (split, accuracy, loss) => {
    const report = await evaluateModel({ ...digits, split, batch: 100 }, workContext(runtime));
    expect(report.metric).toBe('accuracy');
    expect(report.value).toBeCloseTo(accuracy, 4);
    expect(report.loss).toBeCloseTo(loss, 4);
  });

  test('a wrong shape is refused before anything runs, with both shapes', async () => {
    const spec = { ...digits, model: fixture('onnx/digits-a.onnx') };
    await expect(evaluateModel(spec, workContext(runtime))).rejects.toThrow(/1, 8, 8\].*\[360, 64\]/);
  });

  test('a missing split names the files that are there', async () => {
    await expect(evaluateModel({ ...digits, split: 'dev' }, workContext(runtime))).rejects.toThrow(/dev-input\.npy.*test-input\.npy/);
  });

  test('a CSV file with a column map gives the same as the arrays', async () => {
    const columns = Array.from({ length: 64 }, (_, index) => `p${String(index).padStart(2, '0')}`);
    const container = await openContainer(fixture('../../media/samples/digits/data/test-input.npy'));
    const bytes = await container.read('test-input');
    await container.close();
    const values = new Float32Array(bytes.slice().buffer);
    const labels = await openContainer(fixture('../../media/samples/digits/data/test-label.npy'));
    const classes = await labels.read('test-label');
    await labels.close();
    const lines = Array.from(classes, (label, row) => [...values.subarray(row * 64, row * 64 + 64), label].join(','));
    const file = path.join(folder, 'digits.csv');
    writeFileSync(file, [[...columns, 'digit'].join(','), ...lines, ''].join('\r\n'));
    const report = await evaluateModel({ ...digits, data: file, columns: { input: 'p*', label: 'digit' } }, workContext(runtime));
    expect(report.samples).toBe(360);
    expect(report.value).toBeCloseTo(0.9778, 4);
    expect(report.loss).toBeCloseTo(0.0853, 4);
  });
});
