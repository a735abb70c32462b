import { expect, test } from 'vitest';
import { SeededRandom } from '../../../src/common/random';
import { RuntimeProducts } from '../../../src/engine/compress/planning/runtimeProducts';
import { inverseFactor } from '../../../src/engine/kernels/host/secondOrder/inverseFactor';
import { hostProducts } from '../../../src/engine/kernels/host/secondOrder/subtractProduct';
import { sweepColumns } from '../../../src/engine/kernels/host/secondOrder/sweepColumns';
import { openRuntime } from '../../support/fixtures';

const runtime = await openRuntime();

function normals(count: number, seed: number): Float64Array {
  const random = new SeededRandom(seed);
  return Float64Array.from({ length: count }, () => random.nextNormal());
}

test('large products by the runtime are those of the loop, for parts of matrices and in several pieces', async () => {
  const products = new RuntimeProducts(runtime);
  // 4,300 columns: rows come in more than one piece. Strides differ from widths, so factors are copied; with `b` contiguous they are not.
  for (const margin of [0, 5]) {
    const [rows, inner, columns] = [2000, 3, 4300];
    const a = { values: normals(rows * 7 + 2, 1), start: 2, stride: 7 };
    const b = { values: normals(inner * (columns + margin) + 1, 2), start: 1, stride: columns + margin };
    const c = { values: normals(rows * (columns + 1) + 3, 3), start: 3, stride: columns + 1 };
    const expected = { ...c, values: c.values.slice() };
    void hostProducts.subtract(expected, a, b, rows, inner, columns);
    await products.subtract(c, a, b, rows, inner, columns);
    let worst = 0;
    c.values.forEach((value, index) => (worst = Math.max(worst, Math.abs(value - expected.values[index]!))));
    expect(worst).toBeLessThan(1e-12);
  }
  await products.release();
});

test('factor and sweep of a wide layer are the same with them', async () => {
  const size = 1100;
  const products = new RuntimeProducts(runtime);
  const h = Float64Array.from({ length: size * size }, (_, index) => {
    const [row, column] = [Math.floor(index / size), index % size];
    return Math.exp(-Math.abs(row - column) / 9) * (1 + (row % 5)) * (1 + (column % 5)) + (row === column ? 0.05 : 0);
  });
  const [own, loop] = [h.slice(), h.slice()];
  expect(await inverseFactor(own, size, products)).toBe(true);
  expect(await inverseFactor(loop, size)).toBe(true);
  let [worst, largest] = [0, 0];
  own.forEach((value, index) => {
    worst = Math.max(worst, Math.abs(value - loop[index]!));
    largest = Math.max(largest, Math.abs(value));
  });
  expect(worst).toBeLessThan(1e-11 * largest);
  for (let row = 1; row < size; row += 97) expect(own.subarray(row * size, row * size + row).every((value) => value === 0)).toBe(true);

  const weights = normals(300 * size, 5);
  const swept = {
    rows: 300,
    columns: size,
    factor: loop,
    blockSize: 128,
    replace: (_row: number, _column: number, value: number) => Math.round(value * 4) / 4,
  };
  const [first, second] = [weights.slice(), weights.slice()];
  const loss = await sweepColumns({ ...swept, weights: first, products });
  expect(loss).toBeCloseTo(await sweepColumns({ ...swept, weights: second }), 6);
  expect(first).toEqual(second);
  await products.release();
});
