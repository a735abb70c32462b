import { expect, test } from 'vitest';
import { encodeFromFloat32 } from '../../../src/engine/formats/decode';
import type { TensorContainer, TensorEntry } from '../../../src/engine/formats/container';
import { compareContainers } from '../../../src/engine/evaluate/compareModels';
import { byteLength, type DType } from '../../../src/protocol/dtypes';
import { SeededRandom } from '../../../src/common/random';

interface Given {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly values: readonly number[] | Float32Array;
}

/** A model in memory. */
function model(tensors: Readonly<Record<string, Given>>): TensorContainer {
  const bytes = new Map(
    Object.entries(tensors).map(([name, { dtype, values }]) => [name, encodeFromFloat32(dtype, Float32Array.from(values))]),
  );
  return {
    format: 'safetensors',
    path: '/model',
    tensors: new Map(
      Object.entries(tensors).map(([name, { dtype, shape }]): [string, TensorEntry] => [
        name,
        { name, dtype, shape, location: undefined, bytes: byteLength(dtype, shape) },
      ]),
    ),
    metadata: {},
    diagnostics: [],
    read: (name, range) => Promise.resolve(bytes.get(name)!.slice(range?.offset ?? 0, range ? range.offset + range.length : undefined)),
    close: () => Promise.resolve(),
  };
}

const quiet = { signal: undefined, progress: () => undefined };
const single = async (a: Given, b: Given) => (await compareContainers(model({ w: a }), model({ w: b }), {}, quiet)).tensors[0]!;

test('figures match a hand calculation', async () => {
  const result = await single({ dtype: 'float32', shape: [2], values: [3, 4] }, { dtype: 'float32', shape: [2], values: [3, 3] });
  expect(result).toMatchObject({ name: 'w', status: 'changed', largestError: 1, relativeError: 0.2 });
  expect(result.cosine).toBeCloseTo(21 / (5 * Math.sqrt(18)), 12);
  expect(result.sqnr).toBeCloseTo(10 * Math.log10(25), 12);
});

test('equal values of different types are equal', async () => {
  expect(
    await single({ dtype: 'float16', shape: [2, 1], values: [0.5, -2] }, { dtype: 'float32', shape: [2, 1], values: [0.5, -2] }),
  ).toEqual({ name: 'w', status: 'equal' });
});

test('a tensor larger than a chunk is read whole', async () => {
  const random = new SeededRandom(3);
  const values = Float32Array.from({ length: (1 << 20) + 5 }, () => random.nextNormal());
  const other = values.slice();
  other[other.length - 1]! += 1;
  const shape = [values.length];
  const result = await single({ dtype: 'float32', shape, values }, { dtype: 'float32', shape, values: other });
  expect(result.status).toBe('changed');
  expect(result.largestError).toBeCloseTo(1, 5);
});

test('NaN at the same position is equal; elsewhere it is a change and noted', async () => {
  const a: Given = { dtype: 'float32', shape: [2], values: [NaN, 1] };
  expect(await single(a, a)).toEqual({ name: 'w', status: 'equal' });
  expect(await single(a, { ...a, values: [0, 1] })).toMatchObject({
    status: 'changed',
    note: '1 positions are not finite and are excluded from the figures',
  });
});

test('names, shapes and counts', async () => {
  const one: Given = { dtype: 'float32', shape: [1], values: [1] };
  const first = model({ a: one, b: one, c: one });
  const second = model({ a: one, b: { dtype: 'float32', shape: [1, 1], values: [1] }, d: one });
  const result = await compareContainers(first, second, {}, quiet);
  expect(result).toMatchObject({ equal: 1, changed: 0, missing: 3 });
  expect(result.tensors.map(({ name, status }) => `${name} ${status}`)).toEqual([
    'a equal',
    'b shape-differs',
    'c only-in-first',
    'd only-in-second',
  ]);
  expect((await compareContainers(first, second, { tensors: '{a,d}' }, quiet)).tensors.map(({ name }) => name)).toEqual(['a', 'd']);
});

test('an aborted comparison stops', async () => {
  const one: Given = { dtype: 'float32', shape: [1], values: [1] };
  await expect(
    compareContainers(model({ a: one }), model({ a: one }), {}, { ...quiet, signal: AbortSignal.abort() }),
  ).rejects.toMatchObject({
    code: 'cancelled',
  });
});
