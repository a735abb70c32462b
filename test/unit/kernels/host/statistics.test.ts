import { afterEach, expect, test } from 'vitest';
import { SeededRandom } from '../../../../src/common/random';
import { byteLength, type DType } from '../../../../src/protocol/dtypes';
import type { TensorContainer } from '../../../../src/engine/formats/container';
import { decodeToFloat32, encodeFromFloat32 } from '../../../../src/engine/formats/decode';
import { tensorPicture } from '../../../../src/engine/kernels/host/picture';
import { tensorStatistics } from '../../../../src/engine/kernels/host/statistics';
import { openContainer } from '../../../../src/engine/models/openContainer';
import { buildHeader } from '../../../../src/engine/formats/safetensors/writer';
import { temporaryFolder } from '../../../support/fixtures';
import { failureOf, writeInto } from '../../../support/formatFiles';

const folder = temporaryFolder();
const opened: TensorContainer[] = [];
afterEach(async () => {
  for (const container of opened.splice(0)) await container.close();
});

async function holding(dtype: DType, shape: readonly number[], bytes: Uint8Array): Promise<TensorContainer> {
  const { header } = buildHeader([{ name: 'x', dtype, shape }], {});
  const container = await openContainer(writeInto(folder, 'x.safetensors', Buffer.concat([header, bytes])));
  opened.push(container);
  return container;
}

/** The definitions, straight, in float64. */
function plainStatistics(values: readonly number[], bins: number) {
  const finite = values.filter(Number.isFinite);
  const minimum = finite.reduce((a, b) => Math.min(a, b), Infinity);
  const maximum = finite.reduce((a, b) => Math.max(a, b), -Infinity);
  const mean = finite.reduce((a, b) => a + b, 0) / finite.length;
  const deviation = Math.sqrt(finite.reduce((a, b) => a + (b - mean) ** 2, 0) / finite.length);
  const counts = new Array<number>(bins).fill(0);
  for (const value of finite) counts[Math.min(bins - 1, Math.floor(((value - minimum) * bins) / (maximum - minimum)))]! += 1;
  return {
    minimum,
    maximum,
    mean,
    deviation,
    zeros: finite.filter((v) => v === 0).length,
    notFinite: values.length - finite.length,
    counts,
  };
}

// More than one piece of 4 MB in every type; an odd count leaves half a word at the end.
const count = 2_100_001;
const random = new SeededRandom(3);
const normal = Float32Array.from({ length: count }, (_, i) => (i % 97 === 0 ? 0 : random.nextNormal() * 0.02 + 0.5));
normal[5] = NaN;
normal[count - 1] = Infinity;
normal[count - 2] = -Infinity;

for (const dtype of ['float16', 'bfloat16', 'float32', 'float64'] as const) {
  test(`statistics of ${dtype} equal their definitions`, async () => {
    const bytes = encodeFromFloat32(dtype, normal);
    const container = await holding(dtype, [count], bytes);
    const found = await tensorStatistics(container, 'x', { bins: 16 });
    const expected = plainStatistics([...decodeToFloat32(dtype, bytes)], 16);
    expect(found).toMatchObject({ count, minimum: expected.minimum, maximum: expected.maximum, zeros: expected.zeros, notFinite: 3 });
    expect(found.mean).toBeCloseTo(expected.mean, 10);
    expect(found.standardDeviation).toBeCloseTo(expected.deviation, 10);
    expect(found.histogram.counts.reduce((a, b) => a + b)).toBe(count - 3);
    // A value on the border of two bins may fall to either side.
    found.histogram.counts.forEach((n, i) => expect(Math.abs(n - (expected.counts[i] as number))).toBeLessThanOrEqual(count * 1e-4));
  });
}

test('a large mean does not hide a small deviation', async () => {
  const values = Float32Array.from({ length: 100_000 }, (_, i) => 1e6 + (i % 2));
  const found = await tensorStatistics(await holding('float32', [values.length], encodeFromFloat32('float32', values)), 'x');
  expect(found.mean).toBeCloseTo(1e6 + 0.5, 6);
  expect(found.standardDeviation).toBeCloseTo(0.5, 9);
});

test('integers, booleans, small floats, constants and empty tensors', async () => {
  const int8 = await tensorStatistics(await holding('int8', [4], Uint8Array.of(0x80, 0, 0, 0x7f)), 'x', { bins: 3 });
  expect(int8).toMatchObject({ minimum: -128, maximum: 127, zeros: 2, mean: -0.25, histogram: { counts: [1, 2, 1] } });
  const int64 = await tensorStatistics(await holding('int64', [2], new Uint8Array(BigInt64Array.of(-3n, 5n).buffer)), 'x');
  expect(int64).toMatchObject({ minimum: -3, maximum: 5, mean: 1, standardDeviation: 4 });
  const bool = await tensorStatistics(await holding('bool', [3], Uint8Array.of(1, 0, 1)), 'x');
  expect(bool).toMatchObject({ minimum: 0, maximum: 1, zeros: 1 });
  const float4 = await tensorStatistics(await holding('float4_e2m1', [4], Uint8Array.of(0x72, 0xf0)), 'x');
  expect(float4).toMatchObject({ minimum: -6, maximum: 6, zeros: 1, mean: 0.25 });
  const constant = await tensorStatistics(await holding('float16', [3], encodeFromFloat32('float16', Float32Array.of(2, 2, 2))), 'x', {
    bins: 4,
  });
  expect(constant).toMatchObject({ minimum: 2, maximum: 2, standardDeviation: 0, histogram: { counts: [3, 0, 0, 0] } });
  for (const dtype of ['float16', 'float32'] as const)
    expect(await tensorStatistics(await holding(dtype, [0, 3], new Uint8Array(0)), 'x')).toMatchObject({
      count: 0,
      minimum: 0,
      maximum: 0,
      mean: 0,
    });
  const nan = await tensorStatistics(await holding('float32', [2], encodeFromFloat32('float32', Float32Array.of(NaN, Infinity))), 'x');
  expect(nan).toMatchObject({ notFinite: 2, minimum: 0, maximum: 0 });
});

test('types without real values and unknown names are refused', async () => {
  expect((await failureOf(async () => tensorStatistics(await holding('complex64', [1], new Uint8Array(8)), 'x'))).code).toBe('unsupported');
  expect((await failureOf(async () => tensorStatistics(await holding('uint8', [1], new Uint8Array(1)), 'y'))).code).toBe('not-found');
  expect((await failureOf(async () => tensorStatistics(await holding('uint8', [1], new Uint8Array(1)), 'x', { bins: 0 }))).code).toBe(
    'invalid-argument',
  );
});

test('a picture shows the value of largest magnitude in each cell', async () => {
  const rows = 300;
  const columns = 701;
  const values = new Float32Array(rows * columns).fill(0.25);
  values[0] = NaN;
  values[151 * columns + 699] = -9;
  values[299 * columns] = 7;
  for (const dtype of ['float32', 'float16'] as const) {
    const container = await holding(dtype, [3, 100, columns], encodeFromFloat32(dtype, values));
    const picture = await tensorPicture(container, 'x', { width: 70, height: 30 });
    expect(picture).toMatchObject({ rows, columns, width: 70, height: 30, low: -9, high: 7 });
    expect(picture.levels[15 * 70 + 69]).toBe(1);
    expect(picture.levels[29 * 70]).toBe(255);
    expect(picture.levels[0]).toBe(1 + Math.round(((0.25 + 9) * 254) / 16));
    const part = await tensorPicture(container, 'x', {
      width: 10,
      height: 10,
      region: { row: 151, column: 698, rows: 9999, columns: 9999 },
    });
    expect(part).toMatchObject({ region: { row: 151, column: 698, rows: 149, columns: 3 }, width: 3, height: 10, low: -9, high: 0.25 });
    const corner = await tensorPicture(container, 'x', { width: 10, height: 10, region: { row: 0, column: 0, rows: 1, columns: 1 } });
    expect([...corner.levels]).toEqual([0]);
  }
});

test('pictures of vectors, scalars, empty and block-typed matrices', async () => {
  const vector = await tensorPicture(await holding('float32', [3], encodeFromFloat32('float32', Float32Array.of(-1, 0, 1))), 'x', {
    width: 9,
    height: 9,
  });
  expect(vector).toMatchObject({ rows: 1, columns: 3, width: 3, height: 1 });
  expect([...vector.levels]).toEqual([1, 128, 255]);
  const scalar = await tensorPicture(await holding('float32', [], encodeFromFloat32('float32', Float32Array.of(4))), 'x', {
    width: 2,
    height: 2,
  });
  expect(scalar).toMatchObject({ rows: 1, columns: 1, low: 4, high: 4 });
  const empty = await tensorPicture(await holding('float32', [0, 5], new Uint8Array(0)), 'x', { width: 2, height: 2 });
  expect(empty.levels).toHaveLength(0);
  // Rows of three elements of four bits: rows begin in the middle of a byte.
  const packed = await tensorPicture(await holding('float4_e2m1', [2, 3], Uint8Array.of(0x21, 0x43, 0x65)), 'x', {
    width: 3,
    height: 2,
    region: { row: 1, column: 1, rows: 1, columns: 2 },
  });
  expect(packed).toMatchObject({ low: 3, high: 4 });
  expect(byteLength('float4_e2m1', [2, 3])).toBe(3);
});
