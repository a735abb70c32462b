import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { resolveParams } from '../../../../src/common/params';
import { magnitude } from '../../../../src/engine/compress/pruners/magnitude';
import { magnitudeAt, pruneLowest } from '../../../../src/engine/compress/pruners/masks';
import { sparsegpt } from '../../../../src/engine/compress/pruners/sparsegpt';
import { wanda } from '../../../../src/engine/compress/pruners/wanda';
import type { Quantizer } from '../../../../src/engine/compress/quantizers/quantizer';
import { dequantizePlanned } from '../../../../src/engine/outputs/planned/dequantize';
import { layoutOf, type SparseTensor } from '../../../../src/engine/outputs/planned/plannedTensor';
import { correlatedInputs, normals, planWithInputs, statisticsOfInputs } from '../../../support/planWithInputs';
import { hostProducts } from '../../../../src/engine/kernels/host/secondOrder/subtractProduct';
import { propertySeed } from '../../../support/propertySeed';

const seeded = { seed: propertySeed, numRuns: 60 };
const methods: readonly (readonly [string, Quantizer])[] = [
  ['magnitude', magnitude],
  ['wanda', wanda],
  ['sparsegpt', sparsegpt],
];

function settings(method: Quantizer, given: Record<string, unknown>) {
  const { values, problems } = resolveParams(method.parameters, given);
  expect(problems).toEqual([]);
  return values;
}

async function pruned(method: Quantizer, rows: number, weights: Float32Array, given: Record<string, unknown>): Promise<SparseTensor> {
  const columns = weights.length / rows;
  const statistics = statisticsOfInputs(correlatedInputs(30, columns, 2), columns);
  return (await planWithInputs(method, { rows, weights, parameters: settings(method, given) }, statistics)) as SparseTensor;
}

test('magnitudeAt is the entry of the sorted magnitudes', () => {
  fc.assert(
    fc.property(fc.float32Array({ minLength: 1, maxLength: 60, noNaN: true }), fc.nat(59), (values, place) => {
      const sorted = values.map(Math.abs).sort();
      const at = Math.min(place, sorted.length - 1);
      expect(magnitudeAt(values, at)).toBe(sorted[at]);
    }),
    seeded,
  );
});

test('pruneLowest marks exactly the lowest, of equal ones the first', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 30 }), fc.nat(30), (scores, asked) => {
      const count = Math.min(asked, scores.length);
      const marks = new Uint8Array(scores.length);
      pruneLowest(Float64Array.from(scores), count, marks);
      const order = [...scores.keys()].sort((a, b) => scores[a]! - scores[b]! || a - b);
      expect([...marks.keys()].filter((index) => marks[index] === 1)).toEqual(order.slice(0, count).sort((a, b) => a - b));
    }),
    seeded,
  );
});

describe.each(methods)('%s', (_, method) => {
  test.each(['2:4', '4:8'])('%s: no more than half of each window stays, short ends included', async (pattern) => {
    for (const columns of [3, 16, 22, 45]) {
      const weights = normals(5 * columns, columns);
      const tensor = await pruned(method, 5, weights, { pattern });
      expect(tensor.pattern).toBe(pattern);
      const m = Number(pattern.slice(2));
      const back = dequantizePlanned(tensor);
      for (let row = 0; row < 5; row += 1)
        for (let start = 0; start < columns; start += m) {
          const window = back.subarray(row * columns + start, row * columns + Math.min(start + m, columns));
          expect(window.filter((value) => value !== 0).length).toBe(Math.min(m / 2, window.length));
        }
      // Only SparseGPT corrects what stays.
      if (method !== sparsegpt) back.forEach((value, index) => expect(value === 0 || value === weights[index]).toBe(true));
      expect(layoutOf(tensor)).toEqual(method.layoutOf({ name: 'w', role: 'linear', shape: [5, columns] }, settings(method, { pattern })));
    }
  });

  test('any sparsity: at least that share is pruned, and a larger one keeps nothing that a smaller one prunes', async () => {
    const weights = normals(6 * 50, 3);
    let before: Float32Array = weights.map(() => 1);
    for (const sparsity of [0, 0.1, 0.5, 0.72, 0.99]) {
      const back = dequantizePlanned(await pruned(method, 6, weights, { sparsity }));
      const zeros = back.filter((value) => value === 0).length;
      expect(zeros).toBeGreaterThanOrEqual(6 * Math.floor(50 * sparsity));
      expect(zeros).toBeLessThanOrEqual(300 * sparsity + 1);
      if (method !== sparsegpt) back.forEach((value, index) => expect(value === 0 || before[index] !== 0).toBe(true));
      before = back;
    }
  });

  test('a sparsity beside a pattern that has another is refused', () => {
    const tensor = { name: 'w', role: 'linear', shape: [4, 8] } as const;
    expect(() => method.layoutOf(tensor, settings(method, { pattern: '2:4', sparsity: 0.7 }))).toThrow(
      /pattern 2:4 prunes half of the weights, but a sparsity of 0.7 was requested/,
    );
  });

  test('weights that are not finite are refused, naming the position; weights of zeros are pruned', async () => {
    const weights = normals(4 * 10, 3);
    weights[25] = NaN;
    await expect(pruned(method, 4, weights, {})).rejects.toThrow(/Tensor 'w' contains NaN at row 2, column 5/);
    expect(dequantizePlanned(await pruned(method, 2, new Float32Array(20), {})).every((value) => value === 0)).toBe(true);
  });

  test.each(['float16', 'bfloat16', 'float32'] as const)('kept weights of a %s model have its type', async (dtype) => {
    const weights = new Float32Array(16).map((_value, index) => index - 7.5);
    const { planned } = await method.planBlock({
      tensors: [{ tensor: { name: 'w', role: 'linear', shape: [2, 8], dtype }, weights, parameters: settings(method, {}) }],
      statisticsOf: () => undefined,
      read: () => Promise.reject(new Error('nothing else is read')),
      signal: undefined,
      note: () => undefined,
      products: hostProducts,
      threads: undefined as never,
    });
    expect(planned.get('w')).toMatchObject({ dtype });
  });
});

describe('sparsegpt', () => {
  const columns = 90;
  const weights = normals(8 * columns, 6);
  const statistics = statisticsOfInputs(correlatedInputs(400, columns, 3), columns);
  const gram = statistics.get('gram')!.values;

  /** Squared error of the outputs over the inputs of the statistics. */
  async function outputError(method: Quantizer, given: Record<string, unknown>): Promise<number> {
    const tensor = await planWithInputs(method, { rows: 8, weights, parameters: settings(method, given) }, statistics);
    const difference = dequantizePlanned(tensor).map((value, index) => value - weights[index]!);
    let sum = 0;
    for (let start = 0; start < difference.length; start += columns)
      for (let i = 0; i < columns; i += 1)
        for (let j = 0; j < columns; j += 1) sum += difference[start + i]! * gram[i * columns + j]! * difference[start + j]!;
    return sum;
  }

  test.each([{ sparsity: 0.5 }, { sparsity: 0.7 }, { pattern: '2:4' }, { pattern: '4:8' }])(
    '%o: outputs change less than by Wanda, and by Wanda less than by magnitude',
    async (given) => {
      const [own, plain, control] = [
        await outputError(sparsegpt, given),
        await outputError(wanda, given),
        await outputError(magnitude, given),
      ];
      expect(own).toBeLessThan(0.8 * plain);
      expect(plain).toBeLessThan(control);
    },
  );

  test('rounding in the same sweep: codes of what is kept, in any groups', async () => {
    for (const given of [{ bits: 4 }, { bits: 3, groupSize: 'row', symmetric: true }, { bits: 8, groupSize: 40 }]) {
      const joint = { ...given, sparsity: 0.5 };
      const tensor = (await planWithInputs(
        sparsegpt,
        { rows: 8, weights, parameters: settings(sparsegpt, joint) },
        statistics,
      )) as SparseTensor;
      expect(layoutOf(tensor)).toEqual(sparsegpt.layoutOf({ name: 'w', role: 'linear', shape: [8, columns] }, settings(sparsegpt, joint)));
      expect(tensor.values.length).toBe(0);
      tensor.quantized!.codes.forEach((code, index) => {
        const kept = ((tensor.mask[index >> 3]! >> (index & 7)) & 1) === 1;
        expect(kept ? code < 2 ** given.bits : code === 0).toBe(true);
      });
    }
    expect(await outputError(sparsegpt, { sparsity: 0.5, bits: 8, groupSize: 'row' })).toBeLessThan(
      1.1 * (await outputError(sparsegpt, { sparsity: 0.5 })),
    );
  });

  test('inputs that are not finite are refused; a sparsity of 0 changes nothing', async () => {
    const bad = new Map([['gram', { ...statistics.get('gram')!, values: gram.map(() => NaN) }]]);
    await expect(planWithInputs(sparsegpt, { rows: 8, weights, parameters: settings(sparsegpt, {}) }, bad)).rejects.toThrow(
      /inputs of 'w' are not finite/,
    );
    expect(await outputError(sparsegpt, { sparsity: 0 })).toBe(0);
  });
});

describe('wanda', () => {
  test('with inputs of one size it prunes the smallest of every row, and large inputs save small weights', async () => {
    const weights = Float32Array.from([1, -2, 3, -4, 0.5, 8, -6, 7]);
    const statistics = (moments: readonly number[]) =>
      new Map([['moments', { shape: [4], tokens: 1, windows: 1, values: Float64Array.from(moments) }]]);
    const back = async (moments: readonly number[]) => [
      ...dequantizePlanned(await planWithInputs(wanda, { rows: 2, weights, parameters: settings(wanda, {}) }, statistics(moments))),
    ];
    expect(await back([1, 1, 1, 1])).toEqual([0, 0, 3, -4, 0, 8, 0, 7]);
    expect(await back([100, 1, 1, 1])).toEqual([1, 0, 0, -4, 0, 8, 0, 7]);
    await expect(back([1, NaN, 1, 1])).rejects.toThrow(/inputs of 'w' are not finite.*column 1/);
  });

  test('by share: the sparsity of the matrix is met, and rows differ', async () => {
    const weights = normals(40 * 60, 4);
    // Half of the rows have a few large weights and many small ones.
    for (let row = 0; row < 20; row += 1) for (let column = 6; column < 60; column += 1) weights[row * 60 + column]! *= 0.05;
    const back = dequantizePlanned(await pruned(wanda, 40, weights, { byShare: true, sparsity: 0.6 }));
    const zeros = Array.from({ length: 40 }, (_, row) => back.subarray(row * 60, (row + 1) * 60).filter((value) => value === 0).length);
    expect(zeros.reduce((sum, count) => sum + count, 0) / 2400).toBeCloseTo(0.6, 1);
    expect(Math.min(...zeros.slice(0, 20))).toBeGreaterThan(Math.max(...zeros.slice(20)) - 5);
    expect(() => wanda.layoutOf({ name: 'w', role: 'linear', shape: [4, 8] }, settings(wanda, { pattern: '2:4', byShare: true }))).toThrow(
      /Omit --by-share/,
    );
  });

  test('without inputs, as for an embedding, it prunes by magnitude, and the report says so', async () => {
    const notes: string[] = [];
    const weights = Float32Array.from([1, -2, 3, -4]);
    const tensor = await planWithInputs(wanda, { rows: 1, weights, parameters: settings(wanda, {}) }, undefined, (text) =>
      notes.push(text),
    );
    expect([...dequantizePlanned(tensor)]).toEqual([0, 0, 3, -4]);
    expect(notes).toEqual([expect.stringMatching(/'w' has no inputs/)]);
  });
});
