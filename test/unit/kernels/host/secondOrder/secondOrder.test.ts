import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../../../../src/common/random';
import { inverseFactor } from '../../../../../src/engine/kernels/host/secondOrder/inverseFactor';
import { subtractProduct } from '../../../../../src/engine/kernels/host/secondOrder/subtractProduct';
import { sweepColumns } from '../../../../../src/engine/kernels/host/secondOrder/sweepColumns';
import { propertySeed } from '../../../../support/propertySeed';

function normals(count: number, seed: number): Float64Array {
  const random = new SeededRandom(seed);
  return Float64Array.from({ length: count }, () => random.nextNormal());
}

/** X^T X / tokens + added * I of random inputs with columns of very different size. */
function gram(size: number, tokens: number, seed: number, added = 0.01): Float64Array {
  const x = normals(tokens * size, seed);
  const result = new Float64Array(size * size);
  for (let row = 0; row < size; row += 1)
    for (let column = 0; column < size; column += 1) {
      let sum = 0;
      for (let token = 0; token < tokens; token += 1) sum += x[token * size + row]! * x[token * size + column]!;
      result[row * size + column] = (sum * (1 + (row % 7)) * (1 + (column % 7))) / tokens + (row === column ? added : 0);
    }
  return result;
}

test('subtractProduct is c - a b for parts of larger matrices', () => {
  fc.assert(
    fc.property(
      fc.record({ rows: fc.nat(5), inner: fc.nat(9), columns: fc.nat(600), seed: fc.nat(1000), margin: fc.nat(3) }),
      ({ rows, inner, columns, seed, margin }) => {
        const part = (height: number, width: number, offset: number) => {
          const stride = width + margin;
          return { values: normals(height * stride + margin, seed + offset), start: margin, stride };
        };
        const [a, b, c] = [part(rows, inner, 1), part(inner, columns, 2), part(rows, columns, 3)];
        const expected = c.values.slice();
        for (let row = 0; row < rows; row += 1)
          for (let column = 0; column < columns; column += 1)
            for (let term = 0; term < inner; term += 1)
              expected[c.start + row * c.stride + column]! -=
                a.values[a.start + row * a.stride + term]! * b.values[b.start + term * b.stride + column]!;
        subtractProduct(c, a, b, rows, inner, columns);
        c.values.forEach((value, index) => expect(Math.abs(value - expected[index]!)).toBeLessThan(1e-12));
      },
    ),
    { seed: propertySeed, numRuns: 40 },
  );
});

describe('inverseFactor', () => {
  test.each([1, 2, 5, 63, 64, 65, 128, 150])('size %i: U is upper triangular and U H U^T is the identity', async (size) => {
    const h = gram(size, size + 20, size);
    const factor = h.slice();
    expect(await inverseFactor(factor, size)).toBe(true);
    for (let row = 0; row < size; row += 1) {
      for (let column = 0; column < row; column += 1) expect(factor[row * size + column]).toBe(0);
      expect(factor[row * size + row]).toBeGreaterThan(0);
    }
    // H^-1 = U^T U, so H = U^-1 U^-T, and U H U^T = I.
    const product = new Float64Array(size * size);
    for (let row = 0; row < size; row += 1)
      for (let inner = 0; inner < size; inner += 1) {
        let sum = 0;
        for (let term = row; term < size; term += 1) sum += factor[row * size + term]! * h[term * size + inner]!;
        product[row * size + inner] = sum;
      }
    for (let row = 0; row < size; row += 1)
      for (let column = 0; column < size; column += 1) {
        let sum = 0;
        for (let term = column; term < size; term += 1) sum += product[row * size + term]! * factor[column * size + term]!;
        expect(Math.abs(sum - (row === column ? 1 : 0))).toBeLessThan(1e-8);
      }
  });

  test('a matrix that is singular, indefinite or not finite is refused', async () => {
    expect(await inverseFactor(new Float64Array(9), 3)).toBe(false);
    expect(await inverseFactor(Float64Array.from([1, 2, 2, 1]), 2)).toBe(false);
    expect(await inverseFactor(Float64Array.from([1, 0, 0, NaN]), 2)).toBe(false);
    expect(await inverseFactor(Float64Array.from([Infinity, 0, 0, 1]), 2)).toBe(false);
  });
});

test('a sweep that replaces the first weight moves the others to the least-squares optimum', async () => {
  // With only column 0 replaced and the others free, the optimum is w_j - e H^-1_0j / H^-1_00, computed here by solving the remaining system.
  const size = 40;
  const h = gram(size, 80, 3);
  const factor = h.slice();
  await inverseFactor(factor, size);
  for (const blockSize of [8, 64]) {
    const weights = normals(size, 4);
    const before = weights.slice();
    const delta = 0.5;
    await sweepColumns({
      rows: 1,
      columns: size,
      weights,
      factor,
      blockSize,
      replace: (_row, column, value) => (column === 0 ? value + delta : value),
    });
    const change = weights.map((value, index) => value - before[index]!);
    expect(change[0]).toBeCloseTo(delta, 12);
    // Gradient of the output error with respect to every free weight is 0 there.
    for (let row = 1; row < size; row += 1) {
      let slope = 0;
      for (let column = 0; column < size; column += 1) slope += h[row * size + column]! * change[column]!;
      expect(Math.abs(slope)).toBeLessThan(1e-9);
    }
  }
});

test('the predicted loss of a sweep is half the quadratic error of what it did', async () => {
  const [rows, size] = [3, 50];
  const h = gram(size, 100, 5);
  const factor = h.slice();
  await inverseFactor(factor, size);
  const weights = normals(rows * size, 6);
  const before = weights.slice();
  const loss = await sweepColumns({
    rows,
    columns: size,
    weights,
    factor,
    blockSize: 16,
    replace: (_row, _column, value) => Math.round(value * 2) / 2,
  });
  let sum = 0;
  for (let row = 0; row < rows; row += 1)
    for (let i = 0; i < size; i += 1)
      for (let j = 0; j < size; j += 1)
        sum +=
          (weights[row * size + i]! - before[row * size + i]!) * h[i * size + j]! * (weights[row * size + j]! - before[row * size + j]!);
  expect(loss).toBeCloseTo(sum / 2, 8);
});
