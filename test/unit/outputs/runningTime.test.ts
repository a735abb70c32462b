import { expect, test } from 'vitest';
import { GraphBuilder, ints } from '../../../src/engine/graph/builder';
import { operators } from '../../../src/engine/ops';
import { allLevelsFit, multiplyAdds, secondsOfRuns } from '../../../src/engine/outputs/verification/runningTime';

test('convolutions and products are counted, free axes as they are fed', () => {
  const build = new GraphBuilder(operators, 'counted');
  const image = build.input('x', { dtype: 'float32', shape: ['N', 8, 10, 10] });
  const kernel = build.float32(new Array<number>(6 * 8 * 9).fill(0), [6, 8, 3, 3]);
  build.output(build.op('Conv', [image, kernel], { pads: ints([1, 1, 1, 1]) }), 'y');
  const rows = build.input('r', { dtype: 'float32', shape: [5, 7] });
  build.output(build.op('MatMul', [rows, build.float32(new Array<number>(7 * 3).fill(0), [7, 3])]), 'z');
  // Four images of 6 x 10 x 10 outputs with 8 x 3 x 3 weights each; 5 x 3 sums of 7.
  expect(multiplyAdds(build.finish())).toBe(4 * 600 * 72 + 15 * 7);
});

test('the job compares as many settings as the forecast counts', () => {
  expect([10, 10.1].map((seconds) => allLevelsFit(seconds, 3))).toEqual([true, false]);
  expect([15, 15.1].map((seconds) => allLevelsFit(seconds, 2))).toEqual([true, false]);
});

test('bodies count, both branches of an If', () => {
  const build = new GraphBuilder(operators, 'branches');
  const rows = build.input('r', { dtype: 'float32', shape: [5, 7] });
  const branch = (columns: number) => {
    const inner = build.subgraph(`branch-${columns}`);
    inner.output(inner.op('MatMul', [rows, inner.float32(new Array<number>(7 * columns).fill(0), [7, columns])]), `y-${columns}`);
    return { kind: 'graph', value: inner.finish() } as const;
  };
  build.output(build.op('If', [build.input('c', { dtype: 'bool', shape: [] })], { then_branch: branch(3), else_branch: branch(2) }), 'y');
  expect(multiplyAdds(build.finish())).toBe(5 * 7 * 3 + 5 * 7 * 2);
});

test('the time of all runs is bounded: fewer settings for slow models, three seconds of timing', () => {
  expect(secondsOfRuns(0.01)).toBeCloseTo(0.09 + 0.3);
  expect(secondsOfRuns(1)).toBeCloseTo(9 + 5);
  // Six runs of 8 seconds fit into 60: three settings. Of 12 seconds only four do: two settings where default and exact kernels are the same. Of 20 seconds two: one setting.
  expect(secondsOfRuns(8)).toBeCloseTo(9 * 8 + 19);
  expect(secondsOfRuns(12)).toBeCloseTo(7 * 12 + 27);
  expect(secondsOfRuns(20)).toBeCloseTo(100 + 43);
});
