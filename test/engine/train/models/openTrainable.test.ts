import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readNpy } from '../../../../src/engine/formats/npy/openNpy';
import { openSafetensors } from '../../../../src/engine/formats/safetensors/openSafetensors';
import { evaluateModel } from '../../../../src/engine/evaluate/evaluateModel';
import { openTrainingData } from '../../../../src/engine/train/data/openTrainingData';
import { Evaluator } from '../../../../src/engine/train/evaluation';
import { floatTraining } from '../../../../src/engine/train/methods/float';
import { openTrainable } from '../../../../src/engine/train/models/openTrainable';
import { transposeMatrix } from '../../../../src/engine/kernels/host/transposeMatrix';
import { encodeNpy } from '../../../support/encodeNpy';
import { digitsSpec, fixture, planFor, trainWith } from '../../../support/trainDigits';
import { workContext } from '../../../support/workContext';
import { openRuntime, temporaryFolder } from '../../../support/fixtures';

const runtime = await openRuntime();
const folder = temporaryFolder();

/** The digits as pictures [1, 8, 8]. */
async function pictures(): Promise<string> {
  for (const split of ['train', 'val', 'test']) {
    const { bytes, shape } = await readNpy(fixture(`../../media/samples/digits/data/${split}-input.npy`));
    writeFileSync(join(folder, `${split}-input.npy`), encodeNpy('float32', [shape[0] as number, 1, 8, 8], bytes));
    writeFileSync(join(folder, `${split}-label.npy`), readFileSync(fixture(`../../media/samples/digits/data/${split}-label.npy`)));
  }
  return folder;
}

describe('trained tensors of a model', () => {
  test('an ONNX file: matrices of Gemm as [in, out], biases unchanged', async () => {
    const model = await openTrainable(fixture('../../media/samples/digits/digits-mlp.onnx'));
    const shown = model.parameters.map(({ name, role, shape, heldShape, held, storedTransposed, used }) => [
      name,
      role,
      shape,
      heldShape,
      held,
      storedTransposed,
      used,
    ]);
    expect(shown).toContainEqual(['fc1.weight', 'linear', [128, 64], [64, 128], 'transposed', false, true]);
    expect(shown).toContainEqual(['fc3.bias', 'bias', [10], [10], 'canonical', false, true]);
    expect(shown).toHaveLength(6);
    expect(model.inputs(5)).toEqual([{ name: 'input', dtype: 'float32', shape: [5, 64] }]);
    const held = await model.parameters.find(({ name }) => name === 'fc1.weight')?.initial();
    const container = await openSafetensors(fixture('onnx/digits-mlp.safetensors'));
    const stored = new Float32Array(new Uint8Array(await container.read('fc1.weight')).buffer);
    await container.close();
    expect(held).toEqual(transposeMatrix(stored, 128, 64));
    expect(held?.[1]).toBe(stored[64]);
    await model.close();
  });

  test('a decoder: a tied embedding is one parameter', async () => {
    const model = await openTrainable(fixture('models/tiny-llama'), { window: 12 });
    const names = model.parameters.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const embedding = model.parameters.find(({ role }) => role === 'embedding');
    expect(embedding?.held).toBe('canonical');
    const hasHead = names.includes('lm_head.weight');
    expect(embedding?.tiedTo).toEqual(hasHead ? [] : ['lm_head.weight']);
    expect(model.text?.window).toBe(12);
    await model.close();
  });

  test('a start from scratch is a function of the seed', async () => {
    const values = async (seed: number) => {
      const model = await openTrainable(fixture('../../media/samples/digits/digits-mlp.onnx'), { start: 'scratch', seed });
      return Promise.all(model.parameters.map(({ initial }) => initial()));
    };
    expect(await values(3)).toEqual(await values(3));
    expect(await values(4)).not.toEqual(await values(3));
    const [weight] = await values(3);
    expect(Math.max(...(weight ?? []))).toBeLessThanOrEqual(1 / 8);
    expect(Math.max(...(weight ?? []))).toBeGreaterThan(0.12);
  });
});

describe('evaluation before training equals that of the original model', () => {
  const before = async (spec: ReturnType<typeof digitsSpec>) => {
    const model = await openTrainable(spec.model, spec.window === undefined ? {} : { window: spec.window });
    const data = await openTrainingData(spec, model, spec.seed ?? 0);
    const plan = await planFor(floatTraining, model, spec.steps);
    const values = new Map<string, Float32Array>();
    for (const { name, initial } of [...model.parameters, ...model.buffers]) values.set(name, await initial());
    const get = (name: string): Float32Array => values.get(name) as Float32Array;
    const evaluator = new Evaluator(runtime, { model, plan, data, batch: 7, halfRest: false });
    const found = await evaluator.evaluate({ parameter: get, variable: get }, 0);
    await evaluator.release();
    await model.close();
    return found;
  };

  test('accuracy of a network', async () => {
    const spec = digitsSpec();
    const found = await before(spec);
    const expected = await evaluateModel({ kind: 'evaluate', model: spec.model, data: spec.data, split: 'val' }, workContext(runtime));
    expect(found.value).toBe(expected.value);
    expect(found.loss).toBeCloseTo(expected.loss, 6);
  });

  for (const name of ['tiny-llama', 'tiny-llama-linear', 'tiny-mistral', 'tiny-qwen2'])
    test(`perplexity of ${name}`, async () => {
      const text = fixture('text/eval-play.txt');
      const small = join(folder, 'some.txt');
      writeFileSync(small, readFileSync(text, 'utf8').slice(0, 2000));
      const spec = digitsSpec({ model: fixture(`models/${name}`), data: text, validation: small, window: 20 });
      const found = await before(spec);
      const expected = await evaluateModel({ kind: 'evaluate', model: spec.model, text: small, window: 20 }, workContext(runtime));
      expect(found.metric).toBe('perplexity');
      expect(Math.abs(found.loss - expected.loss)).toBeLessThan(1e-5);
    });
});

describe('models learn', () => {
  test('a network of convolutions', async () => {
    const result = await trainWith(digitsSpec({ model: fixture('onnx/digits-a.onnx'), data: await pictures(), steps: 150 }), runtime);
    expect(result.evaluations.at(-1)?.value).toBeGreaterThan(0.85);
  });

  for (const name of ['tiny-llama', 'tiny-mistral', 'tiny-qwen2'])
    test(`${name}, on text`, async () => {
      const spec = digitsSpec({
        model: fixture(`models/${name}`),
        data: fixture('text/eval-play.txt'),
        window: 16,
        steps: 60,
        batch: 8,
        start: 'trained',
      });
      const result = await trainWith(spec, runtime);
      const [first, last] = [result.evaluations[0], result.evaluations.at(-1)];
      expect(last?.loss).toBeLessThan((first?.loss as number) - 0.1);
      expect(last?.value).toBeCloseTo(Math.exp(last?.loss as number), 6);
    });
});
