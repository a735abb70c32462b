import * as fc from 'fast-check';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { inputsOf, misfit } from '../../../src/extension/commands/dataFit';
import { formatWidths, savesNothing } from '../../../src/extension/commands/formatWords';
import { overridesText, readOverrides } from '../../../src/common/overrides';
import { describeAllMethods } from '../../../src/engine/services/allMethods';
import { findWriter } from '../../../src/engine/outputs/writers/index';
import { ModelCatalog } from '../../../src/extension/models/modelCatalog';
import { outputFormats } from '../../../src/protocol/jobs';
import { LoomweightError } from '../../../src/protocol/errors';
import type { ModelSummary } from '../../../src/protocol/model';
import { propertySeed } from '../../support/propertySeed';

describe('formats', () => {
  test.each(outputFormats)('the widths that the form knows are those of the writer: %s', (format) => {
    expect(formatWidths[format]).toEqual(findWriter(format).roundsLearned?.widths);
  });

  test('only weights in a float type save nothing', () => {
    expect(outputFormats.filter(savesNothing)).toEqual(['hf']);
  });
});

describe('overrides as text', () => {
  const rules = { method: describeAllMethods().find(({ id }) => id === 'rtn')!, pins: false, subject: 'An override' };

  test('are what recipes and the command line have', () => {
    expect(readOverrides(' *.down_proj.weight = bits:8 , groupSize:64 ; lm_head.weight=symmetric:true,group-size:32;', rules)).toEqual([
      { glob: '*.down_proj.weight', parameters: { bits: 8, groupSize: 64 } },
      { glob: 'lm_head.weight', parameters: { symmetric: true, groupSize: 32 } },
    ]);
    expect(readOverrides('', rules)).toEqual([]);
    expect(overridesText([{ glob: 'a.*', parameters: { bits: 3, groupSize: 'row' } }])).toBe('a.*=bits:3,groupSize:row');
  });

  test.each([
    ['bits:8', 'An override must be GLOB=KEY:VALUE'],
    ['=bits:8', 'An override must be GLOB=KEY:VALUE'],
    ['a=', 'An override must be GLOB=KEY:VALUE'],
    ['a=bits', "got 'bits'"],
    ['a=bits 8', "got 'bits 8'"],
    ['a=bits:', "got 'bits:'"],
    ['a=bits:9', 'bits must be'],
    ['a=bits:16', 'bits must be'],
    ['a=bits:2.5', 'bits must be'],
    ['a=bitz:8', "Did you mean 'bits'?"],
    ['a=bits:8,bits:4', 'gives bits twice'],
    ['a=symmetric:maybe', 'symmetric must be'],
  ])('%s is refused with what is wrong', (text, sentence) => {
    expect(readOverrides(text, rules)).toContain(sentence);
  });

  test('beside a budget, bits may leave a tensor alone or prune it', () => {
    for (const bits of [16, 0])
      expect(readOverrides(`a=bits:${bits}`, { ...rules, pins: true })).toEqual([{ glob: 'a', parameters: { bits } }]);
  });

  test('read back as they were written', () => {
    const glob = fc.stringMatching(/^[\w.*?{}[\]=-]{1,20}$/);
    const parameters = fc.record(
      { bits: fc.integer({ min: 1, max: 8 }), groupSize: fc.constantFrom('row', 'tensor', 16, 128), symmetric: fc.boolean() },
      { requiredKeys: ['bits'], noNullPrototype: true },
    );
    fc.assert(
      fc.property(fc.array(fc.record({ glob, parameters }, { noNullPrototype: true }), { maxLength: 4 }), (overrides) => {
        expect(readOverrides(overridesText(overrides), rules)).toEqual(overrides);
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
