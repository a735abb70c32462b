import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ModelSummary, TensorSummary } from '../../../src/protocol/model';
import { LoomweightError } from '../../../src/protocol/errors';
import { ModelCatalog } from '../../../src/extension/models/modelCatalog';
import { dtypesOf, groupTensors, shortCount } from '../../../src/extension/models/tensorGroups';
import { TensorIndex } from '../../../src/extension/languages/tensorIndex';

const tensor = (name: string, block: string, dtype: TensorSummary['dtype'] = 'float16', bytes = 2): TensorSummary => ({
  name,
  dtype,
  shape: [1],
  bytes,
  role: 'other',
  block,
  file: '',
});

const summary = (path: string, tensors: readonly TensorSummary[]): ModelSummary => ({
  path,
  name: 'm',
  format: 'safetensors',
  architecture: 'unknown',
  parameters: tensors.length,
  bytes: 1,
  tensors,
  diagnostics: [],
  metadata: {},
});

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'loomweight-catalog-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A catalogue over files of a folder, with a count of how often each was read. */
async function catalogOf(files: Readonly<Record<string, readonly TensorSummary[]>>, sample: readonly string[] = []) {
  const reads: string[] = [];
  for (const name of Object.keys(files)) await writeFile(join(folder, name), name);
  const problems: unknown[] = [];
  const catalog = new ModelCatalog(
    {
      findModels: async (path) => {
        if (path === 'unreadable') throw new LoomweightError('io', 'Permission denied.');
        return Object.keys(files)
          .filter((name) => sample.includes(name) === (path === 'sample'))
          .map((name) => ({ path: join(folder, name), name, format: 'safetensors' as const, bytes: 1 }));
      },
      inspect: async (path) => {
        reads.push(path);
        const tensors = files[path.slice(folder.length + 1)];
        if (!tensors || tensors.length === 0) throw new LoomweightError('malformed-file', 'The header is cut off.');
        return summary(path, tensors);
      },
    },
    () => [
      { path: 'workspace', name: 'a', sample: false },
      { path: 'unreadable', name: 'b', sample: false },
      { path: 'sample', name: 'Sample', sample: true },
    ],
    (error) => problems.push(error),
  );
  return { catalog, reads, problems };
}

describe('the catalogue of models', () => {
  test('one folder that cannot be read does not hide the others, and the sample comes last', async () => {
    const { catalog, problems } = await catalogOf({ 'z.st': [tensor('x', '')], 's.st': [tensor('x', '')] }, ['s.st']);
    expect((await catalog.models()).map(({ name, sample, folder: from }) => [name, sample, from])).toEqual([
      ['z.st', false, 'a'],
      ['s.st', true, undefined],
    ]);
    expect(problems).toHaveLength(1);
  });

  test('reads headers once, and again when the file changes', async () => {
    const { catalog, reads } = await catalogOf({ 'one.st': [tensor('x', '')] });
    const path = join(folder, 'one.st');
    await Promise.all([catalog.summary(path), catalog.summary(path)]);
    await catalog.summary(path);
    expect(reads).toHaveLength(1);
    await writeFile(path, 'longer than before');
    await catalog.summary(path);
    expect(reads).toHaveLength(2);
  });

  test('remembers why a model could not be read and tries again', async () => {
    const { catalog } = await catalogOf({ 'bad.st': [] });
    const path = join(folder, 'bad.st');
    await expect(catalog.summary(path)).rejects.toThrow('cut off');
    expect(catalog.problem(path)).toMatchObject({ code: 'malformed-file' });
    await expect(catalog.summary(path)).rejects.toThrow('cut off');
  });

  test('knows the folders that hold a listed model, and no others', async () => {
    const { catalog } = await catalogOf({ 'one.st': [tensor('x', '')] });
    expect(await catalog.holds(folder)).toBe(false); // Nothing has been listed yet.
    await catalog.models();
    expect(await catalog.holds(folder)).toBe(true);
    expect(await catalog.holds(join(folder, 'one.st'))).toBe(true);
    expect(await catalog.holds(join(folder, 'one'))).toBe(false);
    expect(await catalog.holds(join(folder, 'other'))).toBe(false);
  });

  test('tensor names are looked up in workspace models before the sample', async () => {
    const { catalog } = await catalogOf({ 'w.st': [tensor('x.weight', '')], 's.st': [tensor('x.weight', ''), tensor('only', '')] }, [
      's.st',
    ]);
    const index = new TensorIndex(catalog);
    expect((await index.find(['x', 'x.weight'])).map(({ model }) => model.name)).toEqual(['w.st']);
    expect((await index.find(['only'])).map(({ model }) => model.name)).toEqual(['s.st']);
    expect(await index.find(['nothing'])).toEqual([]);
  });
});

describe('blocks of a model', () => {
  test('are in natural order, with tensors outside any block first', () => {
    const groups = groupTensors(summary('', [tensor('b', 'layers.10'), tensor('c', 'layers.2'), tensor('a', ''), tensor('d', 'layers.2')]));
    expect(groups.map(({ name, tensors, bytes }) => [name, tensors.length, bytes])).toEqual([
      ['', 1, 2],
      ['layers.2', 2, 4],
      ['layers.10', 1, 2],
    ]);
  });

  test('types are named by their share of bytes', () => {
    expect(dtypesOf(summary('', [tensor('a', '', 'float32', 10), tensor('b', '', 'int8', 90)]))).toEqual(['int8', 'float32']);
  });

  test.each([
    [999, '999'],
    [3_950_848, '3.95M'],
    [7_241_732_096, '7.24B'],
  ])('%i parameters are %s', (count, text) => expect(shortCount(count)).toBe(text));
});
