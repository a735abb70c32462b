import * as fc from 'fast-check';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { inputsOf, misfit } from '../../../src/extension/commands/dataFit';
import { formatWidths, keepsSize } from '../../../src/extension/commands/formatWords';
import { overridesText, parseOverrides } from '../../../src/extension/commands/overridesText';
import { findWriter } from '../../../src/engine/outputs/writers/index';
import { ModelCatalog } from '../../../src/extension/models/modelCatalog';
import { outputFormats } from '../../../src/protocol/jobs';
import { LoomweightError } from '../../../src/protocol/errors';
import type { ModelSummary } from '../../../src/protocol/model';
import { propertySeed } from '../../support/propertySeed';

describe('formats', () => {
  test('the widths that the form knows are those of the writers', () => {
    expect(formatWidths['onnx-fast']).toEqual(findWriter('onnx-fast').roundsLearned?.widths);
    expect(Object.keys(formatWidths)).toEqual(['onnx-fast']);
    expect(outputFormats.filter(keepsSize)).toEqual(['hf']);
  });
});

describe('overrides as text', () => {
  test('are what recipes and the command line have', () => {
    expect(parseOverrides(' *.down_proj.weight = bits:8 , groupSize:64 ; lm_head.weight=symmetric:yes;')).toEqual([
      { glob: '*.down_proj.weight', parameters: { bits: 8, groupSize: 64 } },
      { glob: 'lm_head.weight', parameters: { symmetric: true } },
    ]);
    expect(parseOverrides('')).toEqual([]);
    for (const wrong of ['bits:8', 'a=', 'a=bits', '=bits:8', 'a=bits:', 'a=bits 8']) expect(parseOverrides(wrong), wrong).toBeUndefined();
  });

  test('any that can be written read back the same', () => {
    const glob = fc.stringMatching(/^[\w.*?{}[\]-]{1,20}$/);
    const value = fc.oneof(fc.integer({ min: -100, max: 1000 }), fc.boolean(), fc.constantFrom('row', 'tensor'));
    const parameters = fc.dictionary(fc.stringMatching(/^[a-z][A-Za-z]{0,8}$/), value, { minKeys: 1, maxKeys: 3, noNullPrototype: true });
    fc.assert(
      fc.property(fc.array(fc.record({ glob, parameters }, { noNullPrototype: true }), { maxLength: 4 }), (overrides) => {
        expect(parseOverrides(overridesText(overrides))).toEqual(overrides);
      }),
      { seed: propertySeed },
    );
  });
});

describe('data that fits a model', () => {
  const graph = (shape: readonly (number | string)[]) =>
    ({ graph: { inputs: [{ name: 'x', dtype: 'float32', shape }] } }) as unknown as ModelSummary;

  test('by the shapes of its inputs; a name is any length, the first axis counts samples', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'loomweight-fit-'));
    try {
      mkdirSync(join(folder, 'other'));
      writeFileSync(join(folder, 'train-x.npy'), '');
      const shape =
        (...axes: readonly number[]) =>
        async () =>
          axes;
      const model = inputsOf(graph(['batch', 64]))!;
      expect(model.readsText).toBe(false);
      expect(await misfit(folder, model, shape(10, 64))).toBeUndefined();
      expect(await misfit(folder, inputsOf(graph([1, 'n']))!, shape(10, 7))).toBeUndefined();
      expect(await misfit(folder, model, shape(10, 784))).toBe("input 'x' takes [batch, 64], train-x.npy has [10, 784]");
      expect(await misfit(folder, model, shape(10, 8, 8))).toContain('[10, 8, 8]');
      expect(await misfit(join(folder, 'other'), model, shape(10, 64))).toBe("no array for input 'x'");
      expect(await misfit(folder, model, async () => undefined)).toBe('train-x.npy cannot be read');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('a language model reads text; a bare weight file says nothing', () => {
    expect(inputsOf({ format: 'hugging-face' } as ModelSummary)?.readsText).toBe(true);
    expect(inputsOf({ format: 'safetensors' } as ModelSummary)).toBeUndefined();
  });
});

test('models to choose from: what is wrong with a file is told, an engine that failed says nothing about it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'loomweight-catalog-'));
  try {
    const found = ['good', 'broken', 'crashed'].map((name) => ({ path: join(folder, name), name, format: 'onnx' as const, bytes: 1 }));
    for (const { path } of found) writeFileSync(path, '');
    const inspect = async (path: string) => {
      if (path.endsWith('broken')) throw new LoomweightError('malformed-file', 'Not a sound file.');
      if (path.endsWith('crashed')) throw new LoomweightError('engine-crashed', 'Gone.');
      return {} as ModelSummary;
    };
    const catalog = new ModelCatalog(
      { findModels: async () => found, inspect },
      () => [{ path: folder, name: 'x', sample: false }],
      () => undefined,
    );
    const checked = await catalog.checked();
    expect(checked.map(({ model, problem }) => [model.name, problem?.message])).toEqual([
      ['good', undefined],
      ['broken', 'Not a sound file.'],
      ['crashed', undefined],
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
