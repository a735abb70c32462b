import { int } from '../../../src/engine/graph/builder';
import { drawn, given, integers, type GradientCase, type GradientInput } from './gradientCase';

/** A constant vector of truths. */
const flags = (...values: number[]): GradientInput => ({
  kind: 'constant',
  data: { kind: 'inline', dtype: 'bool', shape: [values.length], bytes: Uint8Array.from(values) },
});

/** Operators that pick and put by index. */
export const indexingCases: readonly GradientCase[] = [
  { op: 'Gather', inputs: [drawn(5, 6), given('int64', [2, 3], [0, 1, -1, 3, 1, 1])] },
  { op: 'Gather', inputs: [drawn(5, 6, 2), given('int32', [3], [4, 1, 4])], attributes: { axis: int(1) } },
  { op: 'Gather', inputs: [drawn(5, 6), given('int64', [], [3])], note: 'one place' },
  { op: 'Gather', inputs: [drawn(5, 6), integers(-2)], attributes: { axis: int(-1) }, note: 'one known place' },
  { op: 'Gather', inputs: [drawn(5, 6), integers([4, 3, 2, 2, 2])], note: 'known runs' },
  { op: 'Gather', inputs: [drawn(5, 6), integers([0, 4, 2, 4, 0, 3])], attributes: { axis: int(1) }, note: 'known places' },
  { op: 'GatherElements', inputs: [drawn(4, 3), given('int64', [4, 2], [0, 0, 1, -1, 2, 1, 2, 2])], attributes: { axis: int(1) } },
  { op: 'GatherElements', inputs: [drawn(4, 3), given('int32', [2, 3], [0, 3, 1, 0, -1, 1])] },
  { op: 'GatherND', inputs: [drawn(4, 3, 2), given('int64', [3, 2], [0, 1, 3, -1, 0, 1])] },
  { op: 'GatherND', inputs: [drawn(4, 3), given('int64', [2, 2, 1], [0, 1, 3, 1])] },
  { op: 'GatherND', inputs: [drawn(2, 6, 3), given('int64', [2, 1], [0, 5])], attributes: { batch_dims: int(1) } },
  { op: 'GatherND', inputs: [drawn(2, 2, 4), given('int64', [2, 2, 1], [0, 3, 1, 1])], attributes: { batch_dims: int(2) } },
  { op: 'ScatterElements', inputs: [drawn(4, 3), given('int64', [2, 3], [0, 1, 2, 3, 2, 0]), drawn(2, 3)] },
  {
    op: 'ScatterElements',
    inputs: [drawn(4, 3), given('int64', [2, 3], [0, 1, 1, -1, -1, 0]), drawn(2, 3)],
    attributes: { axis: int(1), reduction: 'add' },
  },
  { op: 'ScatterND', inputs: [drawn(5, 3), given('int64', [2, 1], [0, -2]), drawn(2, 3)] },
  { op: 'ScatterND', inputs: [drawn(5, 3), given('int64', [3, 1], [0, 3, 0]), drawn(3, 3)], attributes: { reduction: 'add' } },
  { op: 'ScatterND', inputs: [drawn(5, 3), given('int64', [2, 2], [0, 2, 4, 1]), drawn(2)] },
  { op: 'TensorScatter', opset: 24, inputs: [drawn(2, 3, 8, 2), drawn(2, 3, 2, 2), given('int64', [2], [1, 5])] },
  {
    op: 'TensorScatter',
    opset: 24,
    inputs: [drawn(2, 6, 2), drawn(2, 3, 2), given('int64', [2], [1, 5])],
    attributes: { mode: 'circular', axis: int(1) },
  },
  { op: 'TensorScatter', opset: 24, inputs: [drawn(2, 6, 2), drawn(2, 3, 2)] },
  { op: 'OneHot', inputs: [given('int64', [2, 3], [0, 1, 3, 2, 1, -1]), integers([4]), drawn(2)] },
  { op: 'OneHot', inputs: [given('int64', [3], [0, 1, 3]), integers([4]), drawn(2)], attributes: { axis: int(0) } },
  { op: 'Compress', inputs: [drawn(3, 4), flags(1, 0, 1)], attributes: { axis: int(0) } },
  { op: 'Compress', inputs: [drawn(3, 4), flags(0, 1, 1)], attributes: { axis: int(1) } },
  { op: 'Compress', inputs: [drawn(2, 3), flags(1, 0, 1, 0, 1)] },
  {
    op: 'ReverseSequence',
    inputs: [drawn(4, 3, 2), given('int64', [3], [4, 1, 3])],
    attributes: { time_axis: int(0), batch_axis: int(1) },
  },
];
