import { describe, expect, test } from 'vitest';
import { decodingTable } from '../../../../src/common/halfFloat';
import { resolveParams } from '../../../../src/common/params';
import { SeededRandom } from '../../../../src/common/random';
import type { QuantizedMatrix } from '../../../../src/engine/outputs/planned/plannedTensor';
import { rtn } from '../../../../src/engine/compress/quantizers/rtn';
import { roundHalfToEven } from '../../../support/roundHalfToEven';

const float16 = decodingTable('float16');

function plan(
  weights: Float32Array,
  rows: number,
  columns: number,
  given: Record<string, unknown>,
  importance?: Float32Array,
): QuantizedMatrix {
  const { values } = resolveParams(rtn.parameters, given);
  return rtn.plan(
    { tensor: { name: 'w', role: 'linear', shape: [rows, columns] }, weights, ...(importance ? { importance } : {}) },
    values,
  );
}

/** Sum of importance * error^2. */
function errorOf(matrix: QuantizedMatrix, weights: Float32Array, importance?: Float32Array): number {
  const groups = Math.ceil(matrix.columns / matrix.groupSize);
  let sum = 0;
  weights.forEach((weight, index) => {
    const column = index % matrix.columns;
    const group = Math.floor(index / matrix.columns) * groups + Math.floor(column / matrix.groupSize);
    const error = (matrix.codes[index]! - matrix.zeroPoints[group]!) * matrix.scales[group]! - weight;
    sum += (importance?.[column] ?? 1) * error * error;
  });
  return sum;
}

function normals(count: number, seed: number): Float32Array {
  const random = new SeededRandom(seed);
  return Float32Array.from({ length: count }, () => random.nextNormal() * 0.05);
}

/** Least error of one group over every zero point and every float16 scale between two bounds. */
function leastError(weights: Float32Array, bits: number): number {
  const top = 2 ** bits - 1;
  const reach = Math.max(...weights.map(Math.abs));
  let best = Infinity;
  for (const scale of float16) {
    if (!(scale > reach / top / 4 && scale < 2.5 * reach)) continue;
    for (let zero = 0; zero <= top; zero += 1) {
      let sum = 0;
      for (const weight of weights) {
        const code = Math.min(top, Math.max(0, roundHalfToEven(Math.fround(weight / scale)) + zero));
        sum += ((code - zero) * scale - weight) ** 2;
      }
      best = Math.min(best, sum);
    }
  }
  return best;
}

describe('ranges by squared error', () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8].flatMap((bits) => [true, false].map((symmetric) => [bits, symmetric] as const)))(
    '%d bits, symmetric %s: never worse than the full range, and much better at few bits',
    (bits, symmetric) => {
      const weights = normals(40 * 96, bits);
      const given = { bits, symmetric, groupSize: 32 };
      const [plain, clipped] = [plan(weights, 40, 96, given), plan(weights, 40, 96, { ...given, clip: true })];
      for (let row = 0; row < 40; row += 1) {
        const part = (matrix: QuantizedMatrix): QuantizedMatrix => ({
          ...matrix,
          rows: 1,
          codes: matrix.codes.subarray(row * 96, (row + 1) * 96),
          scales: matrix.scales.subarray(row * 3, row * 3 + 3),
          zeroPoints: matrix.zeroPoints.subarray(row * 3, row * 3 + 3),
        });
        const own = weights.subarray(row * 96, (row + 1) * 96);
        expect(errorOf(part(clipped), own)).toBeLessThanOrEqual(errorOf(part(plain), own) * (1 + 1e-9));
      }
      if (bits <= 3) expect(errorOf(clipped, weights)).toBeLessThan(0.9 * errorOf(plain, weights));
    },
  );

  test.each([1, 2, 3])('%d bits: within 12 %% of the least error that any scale and zero point give', (bits) => {
    let [found, least] = [0, 0];
    for (let seed = 0; seed < 12; seed += 1) {
      const weights = normals(32, 100 * bits + seed);
      found += errorOf(plan(weights, 1, 32, { bits, groupSize: 32, clip: true }), weights);
      least += leastError(weights, bits);
    }
    expect(found).toBeGreaterThanOrEqual(least * (1 - 1e-6));
    expect(found).toBeLessThanOrEqual(least * 1.12);
  });

  test('columns with more weight have a smaller error', () => {
    const weights = normals(64 * 64, 9);
    const importance = Float32Array.from({ length: 64 }, (_, column) => (column % 8 === 0 ? 100 : 1));
    const given = { bits: 2, groupSize: 32, clip: true };
    const [alike, weighted] = [plan(weights, 64, 64, given), plan(weights, 64, 64, given, importance)];
    expect(errorOf(weighted, weights, importance)).toBeLessThan(0.8 * errorOf(alike, weights, importance));
  });

  test.each(['row', 'tensor', 7])('groups of %s; zeros stay zeros', (groupSize) => {
    const weights = normals(10 * 20, 4);
    weights.fill(0, 40, 60);
    const matrix = plan(weights, 10, 20, { bits: 3, groupSize, clip: true });
    expect(errorOf(matrix, weights)).toBeLessThanOrEqual(errorOf(plan(weights, 10, 20, { bits: 3, groupSize }), weights));
    expect(matrix.codes.every((code) => code <= 7)).toBe(true);
    expect(matrix.scales.every((scale) => scale > 0 && float16.includes(scale))).toBe(true);
    const zeros = plan(new Float32Array(64), 2, 32, { bits: 2, clip: true });
    expect(errorOf(zeros, new Float32Array(64))).toBe(0);
  });
});
