import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../../../src/common/random';
import { GraphBuilder, ints } from '../../../../src/engine/graph/builder';
import type { Value } from '../../../../src/engine/graph/graph';
import { parametersOf } from '../../../../src/engine/graph/passes/parameters';
import { operators } from '../../../../src/engine/ops';
import { elementCount } from '../../../../src/protocol/dtypes';

type Make = (at: number, row: number, column: number) => number;

const random = new SeededRandom(7);
const learned: Make = () => 0.02 * random.nextNormal();
const angle = (row: number, column: number, width: number) => row / 10_000 ** ((2 * (column % (width / 2))) / width);

/** Names of the weights of a graph with a constant `table` of that shape beside activations of [2, ...beside]. */
function weightsOf(
  shape: readonly number[],
  make: Make,
  use: (build: GraphBuilder, x: Value, table: Value) => Value,
  beside: readonly number[] = [9, 8],
): readonly string[] {
  const build = new GraphBuilder(operators, 'graph');
  const x = build.input('x', { dtype: 'float32', shape: ['batch', ...beside] });
  const columns = shape.at(-1) as number;
  const rows = shape.at(-2) ?? 1;
  const data = Float32Array.from({ length: elementCount(shape) }, (_, at) => make(at, Math.floor(at / columns) % rows, at % columns));
  const table = build.constant({ kind: 'inline', dtype: 'float32', shape, bytes: new Uint8Array(data.buffer) }, 'table');
  build.output(use(build, x, table));
  return parametersOf(build.finish(), operators).weights.map(({ name }) => name);
}

const added = (build: GraphBuilder, x: Value, table: Value): Value => build.op('Add', [x, table]);
const multiplied = (build: GraphBuilder, x: Value, table: Value): Value => build.op('Mul', [table, x]);
const lookedUp = (build: GraphBuilder, x: Value, table: Value): Value =>
  build.op('Mul', [x, build.op('Gather', [table, build.int64([0, 1, 2, 3, 4, 5, 6, 7, 8])])]);
const yes = ['table'];

describe('tables in the position of weights', () => {
  test('learned position embeddings are weights, trained or not', () => {
    expect(weightsOf([1, 9, 8], learned, added)).toEqual(yes);
    expect(weightsOf([9, 8], learned, added)).toEqual(yes);
    expect(weightsOf([1, 9, 8], () => 0, added)).toEqual(yes);
    // The relative positions of a windowed attention: one table for each head.
    expect(weightsOf([2, 9, 9], learned, added, [2, 9, 9])).toEqual(yes);
  });

  const lowest = -3.4028234663852886e38;
  test.each([-1e4, -1e9, lowest, -Infinity])('a causal mask of 0 and %d is not a weight', (low) => {
    const causal: Make = (_, row, column) => (column > row ? low : 0);
    expect(weightsOf([1, 1, 9, 9], causal, added, [2, 9, 9])).toEqual([]);
    const padding: Make = (at) => (at > 5 ? low : 0);
    expect(weightsOf([8], padding, added)).toEqual([]);
    // One number that is neither, and it is a table like any other.
    expect(weightsOf([1, 1, 9, 9], (at, row, column) => (at === 80 ? 0.5 : causal(at, row, column)), added, [2, 9, 9])).toEqual(yes);
  });

  test('a mask that masks nothing is not a weight; a bias of zeros is', () => {
    expect(weightsOf([1, 1, 9, 9], () => 0, added, [2, 9, 9])).toEqual([]);
    expect(weightsOf([8], () => 0, added)).toEqual(yes);
    expect(weightsOf([8], () => 1, multiplied)).toEqual(yes);
  });

  test('what activations are multiplied with is a mask or a table of angles, except vectors', () => {
    expect(weightsOf([9, 8], learned, multiplied)).toEqual([]);
    expect(weightsOf([9, 9], (_, row, column) => Number(column <= row), multiplied, [9, 9])).toEqual([]);
    expect(weightsOf([8], learned, multiplied)).toEqual(yes);
    expect(weightsOf([8], (at) => at % 2, multiplied)).toEqual([]);
  });

  test('a weight times its own mask: only the former is a weight', () => {
    const masked = (build: GraphBuilder, x: Value, table: Value): Value => {
      const mask = build.float32(
        Array.from({ length: 64 }, (_, at) => at % 3 && 1),
        [8, 8],
      );
      return build.op('MatMul', [x, build.op('Mul', [table, mask])]);
    };
    expect(weightsOf([8, 8], learned, masked)).toEqual(yes);
  });

  test('sines, cosines and linear functions of positions are never weights', () => {
    const halves: Make = (_, row, column) => (column < 4 ? Math.sin : Math.cos)(angle(row, column, 8));
    const pairs: Make = (_, row, column) => (column % 2 === 0 ? Math.sin : Math.cos)(angle(row, Math.floor(column / 2), 8));
    const sines: Make = (_, row, column) => Math.sin(angle(row, column, 8));
    for (const make of [halves, pairs, sines]) {
      expect(weightsOf([1, 64, 8], make, added, [64, 8])).toEqual([]);
      expect(weightsOf([64, 8], make, lookedUp)).toEqual([]);
    }
    expect(weightsOf([2, 9, 9], (at, row, column) => (at < 81 ? 0.5 : 0.25) * (column - row), added, [2, 9, 9])).toEqual([]);
    expect(weightsOf([64, 8], learned, lookedUp)).toEqual(yes);
    // Almost a table of sines, after a step of training.
    expect(weightsOf([1, 64, 8], (at, row, column) => sines(at, row, column) + 0.1 * random.nextNormal(), added, [64, 8])).toEqual(yes);
  });

  test('a tensor that is also used where only weights are is a weight', () => {
    const both = (build: GraphBuilder, x: Value, table: Value): Value =>
      build.op('MatMul', [build.op('Mul', [x, table]), build.op('Transpose', [table], { perm: ints([1, 0]) })]);
    expect(weightsOf([9, 8], learned, both)).toEqual(yes);
  });
});
