import fc from 'fast-check';
import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SeededRandom } from '../../../../../src/common/random';
import { groupingOf } from '../../../../../src/engine/compress/quantizers/parameters';
import type { QuantizedMatrix } from '../../../../../src/engine/outputs/planned/plannedTensor';
import { roundGroups } from '../../../../../src/engine/compress/quantizers/rounding/roundGroups';
import {
  roundGroupsOnThreads,
  roundMatricesOnThreads,
  type MatrixToRound,
} from '../../../../../src/engine/compress/quantizers/rounding/roundOnThreads';
import type { RoundingOptions } from '../../../../../src/engine/compress/quantizers/rounding/roundRows';
import { HostThreads } from '../../../../../src/engine/kernels/host/threads/hostThreads';
import { sharedBytes, sharedFloat32 } from '../../../../../src/engine/kernels/host/threads/sharedMemory';
import { transposeMatrix } from '../../../../../src/engine/kernels/host/transposeMatrix';
import { bundleForNode } from '../../../../support/bundle';
import { failureOf } from '../../../../support/formatFiles';
import { propertySeed } from '../../../../support/propertySeed';

const counts = [1, 2, 3, 7];
let workerFile: string;
const pools = new Map<number, HostThreads>();

beforeAll(async () => {
  workerFile = await bundleForNode('src/engine/worker.ts');
  for (const count of counts) pools.set(count, new HostThreads(count, { workerFile, note: (text) => expect.fail(text) }));
});
afterAll(async () => {
  await Promise.all([...pools.values()].map((threads) => threads.close()));
  rmSync(dirname(workerFile), { recursive: true, force: true });
});

/** Weights of mixed magnitudes, with zeros, and with whole groups of zeros. */
function weightsOf(count: number, seed: number): Float32Array {
  const random = new SeededRandom(seed);
  const scale = 10 ** (random.nextBelow(7) - 4);
  return Float32Array.from({ length: count }, (_, index) => (index % 97 === 0 || index % 700 < 64 ? 0 : random.nextNormal() * scale));
}

/** Rows and columns in any proportion. */
const shapes = fc.tuple(fc.integer({ min: 1, max: 6000 }), fc.double({ min: 0, max: 1, noNaN: true })).map(([weights, share]) => {
  const rows = Math.max(1, Math.round(weights ** share));
  return { rows, columns: Math.max(1, Math.round(weights / rows)) };
});

const settings = fc.record({
  bits: fc.integer({ min: 1, max: 8 }),
  groupSize: fc.constantFrom<number | string>(1, 7, 32, 128, 5000, 'row', 'tensor'),
  symmetric: fc.boolean(),
  scaleDType: fc.constantFrom('float16' as const, 'float32' as const),
  clip: fc.boolean(),
  transposed: fc.boolean(),
  shared: fc.boolean(),
});

const bytesOf = ({ codes, scales, zeroPoints, ...layout }: QuantizedMatrix) => ({
  layout,
  bytes: Buffer.concat([codes, scales, zeroPoints].map((array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength))),
});

/** Error of a matrix against its weights, row by row, by the definition. */
function plainRelativeError({ rows, columns, groupSize, codes, scales, zeroPoints }: QuantizedMatrix, weights: Float32Array): number {
  const perRow = Math.ceil(columns / groupSize);
  let [error, norm] = [0, 0];
  for (let row = 0; row < rows; row += 1) {
    let [rowError, rowNorm] = [0, 0];
    for (let column = 0; column < columns; column += 1) {
      const index = row * columns + column;
      const group = row * perRow + Math.floor(column / groupSize);
      const value = (codes[index]! - zeroPoints[group]!) * scales[group]!;
      rowError += (value - weights[index]!) ** 2;
      rowNorm += weights[index]! ** 2;
    }
    error += rowError;
    norm += rowNorm;
  }
  return norm === 0 ? 0 : Math.sqrt(error / norm);
}

test('any matrix has the same bytes and error for 1, 2, 3 and 7 threads as with the plain function', async () => {
  await fc.assert(
    fc.asyncProperty(shapes, settings, fc.nat(), async ({ rows, columns }, { groupSize, shared, ...rest }, seed) => {
      const plain = weightsOf(rows * columns, seed);
      const importance = Float32Array.from({ length: columns }, (_, column) => 0.5 + (column % 5));
      const options: RoundingOptions = { ...rest, ...groupingOf(rows, columns, { groupSize }), ...(rest.clip ? { importance } : {}) };
      const expected = roundGroups('w', plain, rows, columns, { ...options, transposed: false });
      const stored = options.transposed ? transposeMatrix(plain, rows, columns) : plain;
      const weights = shared ? sharedFloat32(stored.length) : stored;
      if (shared) weights.set(stored);
      for (const [count, threads] of pools) {
        const codes = shared ? sharedBytes(stored.length) : undefined;
        const [rounded] = await roundMatricesOnThreads(
          threads,
          [{ name: 'w', weights, rows, columns, options: { ...options, ...(codes ? { codes } : {}) } }],
          { pieceWeights: 400 },
        );
        const { layout, bytes } = bytesOf(rounded!.matrix);
        expect(layout).toEqual(bytesOf(expected).layout);
        expect(bytes.equals(bytesOf(expected).bytes), `bytes for ${count} threads`).toBe(true);
        expect(rounded!.relativeError).toBe(plainRelativeError(expected, plain));
        if (codes) expect(rounded!.matrix.codes).toBe(codes);
        else expect(rounded!.matrix.codes.buffer).toBeInstanceOf(ArrayBuffer);
      }
    }),
    { seed: propertySeed, numRuns: 150 },
  );
});

test('many small matrices are rounded together, each with its own settings', async () => {
  const matrices: MatrixToRound[] = Array.from({ length: 300 }, (_, index) => {
    const [rows, columns] = [1 + (index % 40), 16 + ((index * 37) % 200)];
    const groupSize = index % 50 === 49 ? 'tensor' : index % 7 === 0 ? 'row' : 16;
    const options = {
      ...groupingOf(rows, columns, { groupSize }),
      bits: 2 + (index % 5),
      symmetric: index % 3 === 0,
      scaleDType: 'float16' as const,
    };
    return { name: `w${index}`, weights: weightsOf(rows * columns, index), rows, columns, options };
  });
  const expected = matrices.map(({ name, weights, rows, columns, options }) => roundGroups(name, weights, rows, columns, options));
  for (const [count, threads] of pools) {
    const rounded = await roundMatricesOnThreads(threads, matrices, { pieceWeights: 10_000 });
    rounded.forEach(({ matrix, relativeError }, index) => {
      expect(bytesOf(matrix).bytes.equals(bytesOf(expected[index]!).bytes), `matrix ${index}, ${count} threads`).toBe(true);
      expect(relativeError).toBe(plainRelativeError(expected[index]!, matrices[index]!.weights));
    });
  }
  expect(await roundMatricesOnThreads(pools.get(2)!, [])).toEqual([]);
});

const errorOf = async (action: () => Promise<unknown>) => {
  const { code, message, details } = await failureOf(action);
  return { code, message, details };
};

test('errors match those of the plain function, at the first position, for any number of threads', async () => {
  const faults = fc.array(fc.tuple(fc.nat(5_999), fc.constantFrom(NaN, Infinity, -Infinity, 3e38)), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(faults, fc.constantFrom(32, 'row', 'tensor'), fc.boolean(), async (places, groupSize, transposed) => {
      const [rows, columns] = [60, 100];
      const weights = weightsOf(rows * columns, 5);
      for (const [place, value] of places) weights[place] = value;
      const options = { ...groupingOf(rows, columns, { groupSize }), bits: 4, symmetric: false, scaleDType: 'float16' as const };
      const expected = await errorOf(async () => roundGroups('w', weights, rows, columns, options));
      const stored = transposed ? transposeMatrix(weights, rows, columns) : weights;
      for (const threads of pools.values())
        expect(await errorOf(() => roundGroupsOnThreads(threads, 'w', stored, rows, columns, { ...options, transposed }))).toEqual(
          expected,
        );
    }),
    { seed: propertySeed, numRuns: 60 },
  );
});

test('the error of the first of several matrices is reported', async () => {
  const options = { ...groupingOf(600, 1000, { groupSize: 32 }), bits: 4, symmetric: false, scaleDType: 'float16' as const };
  const matrixWith = (name: string, place: number): MatrixToRound => {
    const weights = weightsOf(600_000, 3);
    weights[place] = NaN;
    return { name, weights, rows: 600, columns: 1000, options };
  };
  for (const threads of pools.values()) {
    const error = await errorOf(() => roundMatricesOnThreads(threads, [matrixWith('late', 599_999), matrixWith('early', 0)]));
    expect(error).toMatchObject({ code: 'malformed-file', details: { tensor: 'late', row: 599, column: 999 } });
  }
});

test('rounding can be cancelled', async () => {
  const options = { ...groupingOf(2000, 1000, { groupSize: 32 }), bits: 4, symmetric: false, scaleDType: 'float16' as const, clip: true };
  const weights = weightsOf(2_000_000, 1);
  for (const count of [1, 2]) {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 20);
    const rounding = roundGroupsOnThreads(pools.get(count)!, 'w', weights, 2000, 1000, options, { signal: controller.signal });
    expect((await failureOf(() => rounding)).code).toBe('cancelled');
  }
});

test('weights that start in the middle of a buffer', async () => {
  const [rows, columns] = [500, 1000];
  const whole = sharedFloat32(rows * columns + 64);
  const weights = whole.subarray(64);
  weights.set(weightsOf(rows * columns, 8));
  const options = { ...groupingOf(rows, columns, { groupSize: 32 }), bits: 3, symmetric: true, scaleDType: 'float32' as const };
  const expected = roundGroups('w', weights.slice(), rows, columns, options);
  for (const threads of pools.values()) {
    const matrix = await roundGroupsOnThreads(threads, 'w', weights, rows, columns, options);
    expect(bytesOf(matrix).bytes.equals(bytesOf(expected).bytes)).toBe(true);
  }
});
