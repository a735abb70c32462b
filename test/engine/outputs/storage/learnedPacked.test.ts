import { describe, expect } from 'vitest';
import { dequantizeLearned } from '../../../../src/engine/formats/archive/dequantizeLearned';
import { SeededRandom } from '../../../../src/common/random';
import { storeDequantized } from '../../../../src/engine/outputs/storage/learnedDequantize';
import { storeLearned } from '../../../../src/engine/outputs/storage/learnedPacked';
import { LayoutMismatch } from '../../../../src/engine/outputs/storage/pieceTypes';
import type { EncodedTensor } from '../../../../src/engine/outputs/storage/storedTensor';
import { snapWidths } from '../../../../src/engine/compress/learned/snapWidths';
import { GraphBuilder } from '../../../../src/engine/graph/builder';
import type { Graph } from '../../../../src/engine/graph/graph';
import { operators } from '../../../../src/engine/ops/index';
import type { Runtime } from '../../../../src/engine/runtime/types';
import { test } from '../../../support/fixtures';
import { randomLearned } from '../../../support/randomLearned';
import { fingerprintOf } from '../../../../src/engine/outputs/planned/fingerprint';

/** Rows of the weight by number, and its product with the identity. */
function graphOf({ stored, pieces }: EncodedTensor): Graph {
  const build = new GraphBuilder(operators, 'test');
  const values = Object.fromEntries(
    Object.entries(pieces).map(([name, piece]) => [name, build.constant({ kind: 'inline', ...piece }, name)]),
  );
  const x = build.input('x', { dtype: 'float32', shape: [stored.columns, stored.columns] });
  const ids = build.input('ids', { dtype: 'int64', shape: [1, stored.rows] });
  build.output(stored.linear(build, values, x), 'product');
  build.output(stored.gather!(build, values, ids), 'rows');
  build.output(stored.matrix!(build, values), 'matrix');
  return build.finish();
}

async function expectExact(runtime: Runtime, encoded: EncodedTensor, expected: Float32Array): Promise<void> {
  const { rows, columns } = encoded.stored;
  const graph = graphOf(encoded);
  const identity = new Float32Array(columns * columns);
  for (let index = 0; index < columns; index += 1) identity[index * columns + index] = 1;
  for (const optimization of ['disabled', 'all'] as const) {
    const session = await runtime.createFromGraph(graph, { optimization });
    const results = await session.run({
      x: { dtype: 'float32', shape: [columns, columns], data: identity },
      ids: { dtype: 'int64', shape: [1, rows], data: BigInt64Array.from({ length: rows }, (_, index) => BigInt(index)) },
    });
    expect(results['rows']!.data).toEqual(expected);
    expect(results['matrix']!.data).toEqual(expected);
    const product = results['product']!.data as Float32Array;
    expect(product.every((value, index) => value === expected[(index % rows) * columns + Math.floor(index / rows)])).toBe(true);
    await session.release();
  }
}

const all = Array.from({ length: 16 }, (_, bits) => bits);

describe('self-unpacking weights equal the learned ones bit for bit', () => {
  test.for([
    ['every width', 32, 40, 8, all, undefined],
    ['widths of up to 8 bits', 32, 40, 8, [1, 2, 3, 4, 5, 6, 7, 8], undefined],
    ['a shorter last group', 7, 9, 8, [2, 5], undefined],
    ['groups of one', 6, 11, 1, [1, 3, 4], undefined],
    ['one group', 5, 7, 0, [11], undefined],
    ['one width', 16, 16, 8, [6], undefined],
    ['everything pruned', 4, 8, 8, [0], undefined],
    ['some pruned', 12, 8, 4, [0, 4], undefined],
    // The limit cuts the matrix into parts whose borders are inside groups.
    ['parts with groups across their borders', 50, 6, 16, [2, 3, 7], 700],
    ['parts of one width', 50, 6, 16, [3], 700],
    ['parts of pruned and wide groups', 33, 10, 8, [0, 5, 12], 900],
  ] as const)('%s', async ([, rows, columns, groupSize, widths, limit], { runtime }) => {
    const tensor = randomLearned(new SeededRandom(rows + columns), { name: 'w', shape: [rows, columns], groupSize, widths });
    const encoded = storeLearned(tensor, limit);
    const expected = dequantizeLearned(tensor);
    expect(Object.keys(encoded.pieces).some((name) => name.startsWith('part1.'))).toBe(limit !== undefined);
    const decoded = encoded.stored.decode(encoded.pieces);
    expect(decoded.fingerprint).toBe(fingerprintOf({ kind: 'learned', tensor }));
    expect(decoded.weights()).toEqual(expected);
    await expectExact(runtime, encoded, expected);
  });

  test('a changed byte of the pieces changes the fingerprint or is refused', () => {
    const tensor = randomLearned(new SeededRandom(2), { name: 'w', shape: [16, 16], groupSize: 8, widths: [2, 3] });
    const { pieces, stored } = storeLearned(tensor);
    for (const [name, piece] of Object.entries(pieces)) {
      const bytes = piece.bytes.slice();
      bytes[0] = (bytes[0] as number) ^ 1;
      const decode = () => stored.decode({ ...pieces, [name]: { ...piece, bytes } }).fingerprint;
      // Another width for a group contradicts the number of groups that the layout has of each width.
      if (name.includes('.widths.')) expect(decode, name).toThrow(LayoutMismatch);
      else expect(decode(), name).not.toBe(fingerprintOf({ kind: 'learned', tensor }));
    }
  });

  test.for([1, 4, 5, 8, 9, 15])('DequantizeLinear and the minimum: %d bits', async (bits, { runtime }) => {
    const tensor = randomLearned(new SeededRandom(bits), { name: 'w', shape: [9, 13], groupSize: 8, widths: [bits] });
    const encoded = storeDequantized(tensor);
    expect(encoded.stored.decode(encoded.pieces).fingerprint).toBe(fingerprintOf({ kind: 'learned', tensor }));
    await expectExact(runtime, encoded, dequantizeLearned(tensor));
  });
});

test('snapping chooses the narrowest kernel width whose error is small against the learned rounding', () => {
  const tensor = (widths: readonly number[]) => ({
    ...randomLearned(new SeededRandom(9), { name: 'w', shape: [64, 64], groupSize: 8, widths }),
    minimum: -1,
    maximum: 1,
  });
  const kernels = { widths: [2, 4, 8], groupSize: 32 };
  expect(snapWidths(tensor([2]), kernels).bits).toBeLessThanOrEqual(4);
  expect(snapWidths(tensor([3]), kernels).bits).toBe(4);
  expect(snapWidths(tensor([6]), kernels).bits).toBe(8);
  const { relativeError, bits } = snapWidths(tensor([15]), kernels);
  expect(bits).toBe(8);
  expect(relativeError).toBeLessThan(0.01);
});
