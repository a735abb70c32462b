import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { resolveParams, type ParamValues } from '../../../../src/common/params';
import type { Statistic } from '../../../../src/engine/blocks/taps/tap';
import { gptq } from '../../../../src/engine/compress/quantizers/gptq';
import { rtn } from '../../../../src/engine/compress/quantizers/rtn';
import { dequantize } from '../../../../src/engine/outputs/planned/dequantize';
import { matrixLayoutOf, type QuantizedMatrix } from '../../../../src/engine/outputs/planned/plannedTensor';
import { correlatedInputs, normals, planWithInputs, statisticsOfInputs } from '../../../support/planWithInputs';
import { hostProducts } from '../../../../src/engine/kernels/host/secondOrder/subtractProduct';
import { propertySeed } from '../../../support/propertySeed';

function settings(given: Record<string, unknown>): ParamValues {
  const { values, problems } = resolveParams(gptq.parameters, given);
  expect(problems).toEqual([]);
  return values;
}

async function planned(
  weights: Float32Array,
  rows: number,
  given: Record<string, unknown>,
  statistics: ReadonlyMap<string, Statistic> | undefined,
  notes: string[] = [],
): Promise<QuantizedMatrix> {
  return (await planWithInputs(gptq, { rows, weights, parameters: settings(given) }, statistics, (text) =>
    notes.push(text),
  )) as QuantizedMatrix;
}

function nearest(weights: Float32Array, rows: number, given: Record<string, unknown>): QuantizedMatrix {
  const { values } = resolveParams(rtn.parameters, given);
  return rtn.plan({ tensor: { name: 'w', role: 'linear', shape: [rows, weights.length / rows] }, weights }, values);
}

/** A Gram matrix from a function of row and column. */
function gramFrom(columns: number, at: (row: number, column: number) => number): ReadonlyMap<string, Statistic> {
  const values = Float64Array.from({ length: columns * columns }, (_, index) => at(Math.floor(index / columns), index % columns));
  return new Map([['gram', { shape: [columns, columns], tokens: columns, windows: 1, values }]]);
}

/** Squared error of the layer's outputs over the inputs that a Gram matrix is of. */
function outputError(weights: Float32Array, matrix: QuantizedMatrix, gram: Statistic): number {
  const columns = gram.shape[0] as number;
  const difference = dequantize(matrix).map((value, index) => value - weights[index]!);
  let sum = 0;
  for (let start = 0; start < difference.length; start += columns)
    for (let i = 0; i < columns; i += 1)
      for (let j = 0; j < columns; j += 1) sum += difference[start + i]! * gram.values[i * columns + j]! * difference[start + j]!;
  return sum;
}

const shapes = fc.record({
  rows: fc.integer({ min: 1, max: 6 }),
  columns: fc.integer({ min: 1, max: 170 }),
  bits: fc.integer({ min: 1, max: 8 }),
  groupSize: fc.oneof(fc.integer({ min: 1, max: 200 }), fc.constantFrom('row', 'tensor')),
  symmetric: fc.boolean(),
  actOrder: fc.boolean(),
  staticGroups: fc.boolean(),
  scales: fc.constantFrom('float16', 'float32'),
  seed: fc.nat(10_000),
});

describe('properties', () => {
  test('with independent inputs of one size every weight is rounded to nearest', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async ({ rows, columns, seed, ...given }) => {
        const weights = normals(rows * columns, seed);
        const { bits, groupSize, symmetric, scales } = given;
        const matrix = await planned(
          weights,
          rows,
          given,
          gramFrom(columns, (row, column) => (row === column ? 3 : 0)),
        );
        const { columnOrder, ...rest } = matrix;
        // Inputs of one size stay in their own order.
        expect([...(columnOrder ?? [])]).toEqual(columnOrder ? [...Array(columns).keys()] : []);
        expect(rest).toEqual(nearest(weights, rows, { bits, groupSize, symmetric, scales }));
      }),
      { seed: propertySeed, numRuns: 40 },
    );
  });

  test('whatever the shape, codes and scales are in range, the layout is the one that was announced, and the same again', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async ({ rows, columns, seed, ...given }) => {
        const weights = normals(rows * columns, seed);
        const kept = weights.slice();
        const statistics = statisticsOfInputs(correlatedInputs(40, columns, seed), columns);
        const matrix = await planned(weights, rows, given, statistics);
        expect(matrixLayoutOf(matrix)).toEqual({
          ...gptq.layoutOf({ name: 'w', role: 'linear', shape: [rows, columns] }, settings(given)),
          scaleDType: matrix.scaleDType,
        });
        expect(Math.max(...matrix.codes)).toBeLessThan(2 ** given.bits);
        expect(matrix.scales.every((scale) => scale > 0 && scale < Infinity)).toBe(true);
        if (matrix.columnOrder) expect([...matrix.columnOrder].sort((a, b) => a - b)).toEqual([...Array(columns).keys()]);
        expect(weights).toEqual(kept);
        expect(await planned(weights, rows, given, statistics)).toEqual(matrix);
      }),
      { seed: propertySeed, numRuns: 30 },
    );
  });

  test.each([2, 3, 4, 8])('%i bits: outputs change less than by rounding to nearest on the same grid', async (bits) => {
    for (const columns of [48, 80, 150])
      for (const given of [{ actOrder: true }, { actOrder: false }])
        for (const symmetric of [true, false])
          for (const seed of [1, 2, 3]) {
            const weights = normals(8 * columns, seed);
            const statistics = statisticsOfInputs(correlatedInputs(4 * columns, columns, seed), columns);
            const gram = statistics.get('gram')!;
            // Static groups and rows have the scales of rounding to nearest.
            const shared = { bits, groupSize: seed === 3 ? 'row' : 32, symmetric };
            const matrix = await planned(weights, 8, { ...shared, ...given, staticGroups: true }, statistics);
            const control = nearest(weights, 8, shared);
            if (given.actOrder || seed === 3) expect(matrix.scales).toEqual(control.scales);
            expect(outputError(weights, matrix, gram)).toBeLessThan(0.9 * outputError(weights, control, gram));
          }
  });
});

describe('inputs that make trouble', () => {
  const [rows, columns] = [4, 40];
  const weights = normals(rows * columns, 5);

  test('fewer tokens than inputs: damping makes the Gram matrix regular', async () => {
    const notes: string[] = [];
    const statistics = statisticsOfInputs(correlatedInputs(3, columns, 1), columns);
    const matrix = await planned(weights, rows, {}, statistics, notes);
    expect(notes).toEqual([]);
    expect(dequantize(matrix).every(Number.isFinite)).toBe(true);
  });

  test('a singular Gram matrix without damping: damping is raised, and the report says so', async () => {
    const notes: string[] = [];
    const matrix = await planned(
      weights,
      rows,
      { damping: 0 },
      gramFrom(columns, () => 1),
      notes,
    );
    expect(notes).toEqual([
      expect.stringMatching(/^The inputs of 'w' depend on each other too much for a damping of 0; 0\.0001 was used\.$/),
    ]);
    expect(dequantize(matrix).every(Number.isFinite)).toBe(true);
  });

  test('no input at all: every column is never seen, and its weights become 0', async () => {
    const matrix = await planned(
      weights,
      rows,
      {},
      gramFrom(columns, () => 0),
    );
    expect([...dequantize(matrix)]).toEqual(Array(rows * columns).fill(0));
  });

  test.each([NaN, Infinity])('inputs of %d are refused, naming tensor, column and what to do', async (bad) => {
    const gram = gramFrom(columns, (row, column) => (row === 7 && column === 7 ? bad : row === column ? 1 : 0));
    await expect(planned(weights, rows, {}, gram)).rejects.toMatchObject({
      code: 'malformed-file',
      message: expect.stringMatching(/inputs of 'w' are not finite.*column 7.*needs no calibration/) as string,
    });
  });

  test('weights that are not finite are refused, naming the position', async () => {
    const damaged = weights.slice();
    damaged[2 * columns + 35] = NaN;
    for (const given of [{}, { actOrder: false }, { staticGroups: false }, { groupSize: 'row' }])
      await expect(planned(damaged, rows, given, statisticsOfInputs(correlatedInputs(90, columns, 1), columns))).rejects.toThrow(
        /Tensor 'w' contains NaN at row 2, column 35/,
      );
  });

  test('without inputs, as for an embedding, rounding is to nearest, and the report says so', async () => {
    const notes: string[] = [];
    expect(await planned(weights, rows, { bits: 3 }, undefined, notes)).toEqual(nearest(weights, rows, { bits: 3 }));
    expect(notes).toEqual([expect.stringMatching(/'w' has no inputs to calibrate on/)]);
  });

  test('scales too small for float16 are stored as float32', async () => {
    const tiny = weights.map((weight) => weight * 1e-6);
    const statistics = statisticsOfInputs(correlatedInputs(90, columns, 1), columns);
    const matrix = await planned(tiny, rows, {}, statistics);
    expect(matrix.scaleDType).toBe('float32');
    expect(matrix).toEqual(await planned(tiny, rows, { scales: 'float32' }, statistics));
  });
});

test('widths that a budget chose for single groups: codes fit, and pruned groups are 0', async () => {
  const [rows, columns] = [5, 70];
  const weights = normals(rows * columns, 8);
  const groupBits = Uint8Array.from({ length: rows * 3 }, (_, group) => [0, 2, 5][group % 3]!);
  for (const given of [{}, { actOrder: false }, { symmetric: true }]) {
    const matrix = (await planWithInputs(
      gptq,
      { rows, weights, parameters: settings({ ...given, bits: 5 }), groupBits },
      statisticsOfInputs(correlatedInputs(200, columns, 2), columns),
    )) as QuantizedMatrix;
    expect(matrix.groupBits).toEqual(groupBits);
    for (let row = 0; row < rows; row += 1)
      for (let column = 0; column < columns; column += 1) {
        const group = row * 3 + Math.floor(column / 32);
        expect(matrix.codes[row * columns + column]).toBeLessThan(2 ** groupBits[group]!);
        if (groupBits[group] === 0)
          expect([matrix.codes[row * columns + column], matrix.scales[group], matrix.zeroPoints[group]]).toEqual([0, 0, 0]);
      }
  }
});

test('layers with the same inputs share one factorisation', async () => {
  const weights = normals(3 * 40, 5);
  const statistics = statisticsOfInputs(correlatedInputs(90, 40, 1), 40);
  const parameters = settings({});
  const tensors = ['q', 'k'].map((name) => ({ tensor: { name, role: 'linear', shape: [3, 40] } as const, weights, parameters }));
  const gram = statistics.get('gram')!;
  let reads = 0;
  const counted = new Map([
    [
      'gram',
      {
        ...gram,
        get values() {
          reads += 1;
          return gram.values;
        },
      },
    ],
  ]);
  const { planned: both } = await gptq.planBlock({
    tensors,
    statisticsOf: () => counted,
    read: () => Promise.reject(new Error('nothing else is read')),
    signal: undefined,
    note: () => undefined,
    products: hostProducts,
    threads: undefined as never,
  });
  expect(both.get('k')).toEqual(both.get('q'));
  const once = reads;
  await gptq.planBlock({
    tensors: tensors.slice(0, 1),
    statisticsOf: () => counted,
    read: () => Promise.reject(new Error('')),
    signal: undefined,
    note: () => undefined,
    products: hostProducts,
    threads: undefined as never,
  });
  expect(reads).toBe(2 * once);
});
