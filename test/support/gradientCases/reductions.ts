import { int } from '../../../src/engine/graph/builder';
import { between, distinct, drawn, integers, type GradientCase, type GradientInput } from './gradientCase';

const input = (name: string, ...shape: number[]): GradientInput =>
  name === 'Max' || name === 'Min' ? distinct(...shape) : name === 'LogSum' ? between(0.2, 2, ...shape) : drawn(...shape);

const names = ['Sum', 'Mean', 'Max', 'Min', 'Prod', 'L1', 'L2', 'SumSquare', 'LogSum', 'LogSumExp'];

/** Reductions and operators along an axis. */
export const reductionCases: readonly GradientCase[] = [
  ...names.flatMap((name): readonly GradientCase[] => {
    const op = `Reduce${name}`;
    const kinks = name === 'L1' ? { kinks: [0] } : {};
    return [
      { op, inputs: [input(name, 2, 3, 4), integers([-1])], ...kinks },
      { op, inputs: [input(name, 2, 3, 4), integers([0, 2])], attributes: { keepdims: int(0) }, ...kinks },
      { op, inputs: [input(name, 2, 3)], attributes: { keepdims: int(0) }, note: 'all axes', ...kinks },
    ];
  }),
  ...names.map((name): GradientCase => ({
    op: `Reduce${name}`,
    inputs: [input(name, 2, 3), integers([])],
    attributes: { noop_with_empty_axes: int(1) },
    note: 'no axes',
  })),
  ...['Softmax', 'LogSoftmax'].flatMap((op): readonly GradientCase[] => [
    { op, inputs: [drawn(2, 5)] },
    { op, inputs: [drawn(2, 3, 4)], attributes: { axis: int(1) } },
  ]),
  { op: 'CumSum', inputs: [drawn(2, 5), integers(1)] },
  { op: 'CumSum', inputs: [drawn(2, 5), integers(-1)], attributes: { exclusive: int(1) } },
  { op: 'CumSum', inputs: [drawn(3, 5), integers(0)], attributes: { reverse: int(1) } },
  { op: 'CumSum', inputs: [drawn(2, 5), integers(1)], attributes: { reverse: int(1), exclusive: int(1) } },
  { op: 'TopK', inputs: [distinct(2, 5), integers([3])], outputs: 2 },
  { op: 'TopK', inputs: [distinct(4, 3), integers([2])], attributes: { axis: int(0), largest: int(0) }, outputs: 2 },
];
