import { expect, test } from 'vitest';
import { GraphBuilder, int, ints, type AttributeInput } from '../../../../src/engine/graph/builder';
import type { Graph, Value } from '../../../../src/engine/graph/graph';
import { specializeGraph } from '../../../../src/engine/graph/passes/specialize';
import type { ConstantData } from '../../../../src/engine/graph/types';
import { operators } from '../../../../src/engine/ops';
import { elementCount } from '../../../../src/protocol/dtypes';
import { runGraph } from '../../../support/runGraph';

type Kind = 'int64' | 'int32' | 'int8' | 'uint8' | 'bool' | 'float32' | 'float64';
type Input = readonly [dtype: Kind, shape: readonly number[], values?: readonly number[]] | undefined;

function data([dtype, shape, given]: NonNullable<Input>): ConstantData {
  const values = given ?? Array.from({ length: elementCount(shape) }, (_, at) => at - 2);
  const array =
    dtype === 'int64'
      ? BigInt64Array.from(values.map(BigInt))
      : dtype === 'int32'
        ? Int32Array.from(values)
        : dtype === 'int8'
          ? Int8Array.from(values)
          : dtype === 'float32'
            ? Float32Array.from(values)
            : dtype === 'float64'
              ? Float64Array.from(values)
              : Uint8Array.from(values);
  return { kind: 'inline', dtype, shape, bytes: new Uint8Array(array.buffer) };
}

/** One node whose inputs are all known; the outputs pass through an Identity each, as outputs must be made by nodes. */
function graphOf(op: string, inputs: readonly Input[], attributes: Readonly<Record<string, AttributeInput>>, outputs: number): Graph {
  const build = new GraphBuilder(operators, 'graph');
  const values = inputs.map((input) => input && (build.op('Constant', [], { value: { kind: 'tensor', value: data(input) } }) as Value));
  // A graph with weights: values in Constant nodes then are not weights.
  build.constant(data(float32([2, 2])), 'weights');
  build.node(op, values, attributes, { outputs }).forEach((value, at) => build.output(value, `y${at}`));
  return build.finish();
}

const tensor =
  (dtype: Kind) =>
  (shape: readonly number[], values?: readonly number[]): NonNullable<Input> => [dtype, shape, values];
const int64 = tensor('int64');
const int32 = tensor('int32');
const int8 = tensor('int8');
const uint8 = tensor('uint8');
const bool = tensor('bool');
const float32 = tensor('float32');
const float64 = tensor('float64');

type Case = readonly [op: string, inputs: readonly Input[], attributes?: Readonly<Record<string, AttributeInput>>, outputs?: number];

const numbers: Input = float32([6], [-2.5, -1.5, -0.5, 0.5, 1.5, 2.25]);

const folded: readonly Case[] = [
  ['Add', [int64([2, 3]), int64([3])]],
  ['Add', [float32([2, 1], [0.1, 0.7]), float32([3], [0.2, 1e8, -0.3])]],
  ['Sub', [int32([2, 1]), int32([1, 4])]],
  ['Mul', [float32([3], [0.1, 1 / 3, 7]), float32([], [0.3])]],
  ['Div', [int64([6], [-7, 7, -7, 7, 0, 1]), int64([6], [2, 2, -2, -2, 5, 3])]],
  ['Div', [float32([3], [1, 0, -1]), float32([3], [3, 7, 0])]],
  ['Mod', [int64([4], [-7, 7, -7, 7]), int64([4], [3, 3, -3, -3])]],
  ['Mod', [int32([4], [-7, 7, -7, 7]), int32([4], [3, 3, -3, -3])]],
  ['Mod', [int64([4], [-7, 7, -7, 7]), int64([4], [3, 3, -3, -3])], { fmod: int(1) }],
  ['Mod', [float32([4], [-7.5, 7.5, -7.5, 7.5]), float32([4], [2, 2, -2, -2])], { fmod: int(1) }],
  ['Pow', [int64([3], [2, -3, 10]), int64([], [3])]],
  ['Min', [int64([3]), int64([1], [0]), int64([3], [9, -9, 9])]],
  ['Max', [float32([3], [1, -2, 3]), float32([], [0.5])]],
  ['Sum', [float32([2], [1, 2]), float32([2], [3, 4]), float32([], [5])]],
  ['Clip', [int64([6]), int64([], [-1]), int64([], [2])]],
  ['Clip', [numbers, undefined, float32([], [1])]],
  ['Neg', [int32([4])]],
  ['Abs', [int64([4])]],
  ['Sign', [int64([4])]],
  ['Sign', [numbers]],
  ['Floor', [numbers]],
  ['Ceil', [numbers]],
  ['Round', [numbers]],
  ['Sqrt', [float32([3], [2, 3, 64])]],
  ['Reciprocal', [float32([2], [3, 7])]],
  ['Not', [bool([2], [0, 1])]],
  ['Equal', [int64([2, 1]), int64([4])]],
  ['Less', [numbers, float32([], [0.5])]],
  ['LessOrEqual', [numbers, float32([], [0.5])]],
  ['Greater', [int32([4]), int32([], [0])]],
  ['GreaterOrEqual', [int64([4]), int64([], [0])]],
  ...['And', 'Or', 'Xor'].map((op) => [op, [bool([2, 1], [0, 1]), bool([2], [0, 1])]] as const),
  ['Where', [bool([2, 1], [0, 1]), int64([3]), int64([], [7])]],
  ['Cast', [numbers], { to: int(7) }],
  ['Cast', [numbers], { to: int(9) }],
  ['Cast', [int64([3], [16777217, -3, 5])], { to: int(1) }],
  ['Cast', [int64([3])], { to: int(11) }],
  ['Cast', [bool([2], [0, 1])], { to: int(6) }],
  ['CastLike', [int64([3]), float32([], [0])]],
  ['Gather', [int64([3, 4]), int64([2, 2], [0, -1, 1, 0])], { axis: int(1) }],
  ['Gather', [bool([2, 2], [1, 0, 0, 1]), int32([], [1])]],
  ['GatherElements', [int64([2, 3]), int64([2, 2], [0, -1, 1, 2])], { axis: int(1) }],
  ['GatherND', [int64([2, 3]), int64([2, 2], [1, -1, 0, 0])]],
  ['GatherND', [float32([2, 3]), int64([3, 1], [1, 0, 1])]],
  ['Concat', [int32([2, 2]), int32([2, 3])], { axis: int(-1) }],
  ['Concat', [int64([1]), int64([0], []), int64([2])], { axis: int(0) }],
  ['Unsqueeze', [int64([2]), int64([2], [0, -1])]],
  ['Squeeze', [int64([1, 2, 1])]],
  ['Flatten', [uint8([2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8])], { axis: int(2) }],
  ['Reshape', [int8([2, 3]), int64([2], [-1, 2])]],
  ['Transpose', [int64([2, 3, 2])], { perm: ints([2, 0, 1]) }],
  ['Transpose', [float64([2, 3])]],
  ['Expand', [int64([2, 1]), int64([3], [2, 1, 3])]],
  ['Tile', [int64([2, 3]), int64([2], [2, 3])]],
  ['Slice', [int64([4, 5]), int64([2], [-1, 1]), int64([2], [-9, 9]), int64([2], [0, 1]), int64([2], [-2, 3])]],
  ['Slice', [int64([5]), int64([1], [7]), int64([1], [9])]],
  ['Split', [int64([2, 5]), int64([2], [2, 3])], { axis: int(1) }, 2],
  ['Trilu', [int64([2, 3, 3]), int64([], [1])]],
  ['Trilu', [float32([3, 4])], { upper: int(0) }],
  ['Size', [float32([3, 4])]],
  ['Shape', [float32([3, 4, 5])], { start: int(-2), end: int(-1) }],
  ['Range', [int64([], [5]), int64([], [-4]), int64([], [-2])]],
  ['Range', [float32([], [0.5]), float32([], [2.2]), float32([], [0.25])]],
  ['ConstantOfShape', [int64([2], [2, 3])], { value: { kind: 'tensor', value: data(int64([1], [7])) } }],
  ['ConstantOfShape', [int64([1], [2])]],
  ['EyeLike', [int32([3, 4])], { k: int(1) }],
  ['CumSum', [int64([2, 3]), int64([], [1])]],
  ['CumSum', [float32([2, 3]), int32([], [-2])]],
  ['ReduceSum', [int64([2, 3]), int64([1], [-1])], { keepdims: int(0) }],
  ['ReduceProd', [int64([4], [2, 3, 4, 5])], { keepdims: int(0) }],
  ['ReduceMax', [int32([2, 3]), int64([1], [0])]],
  ['ReduceMin', [float32([2, 3])]],
  ['ReduceMean', [float32([2, 4]), int64([1], [1])]],
];

/** The host's results are the runtime's, bit for bit. */
test.each(folded.map((row) => [JSON.stringify(row), row] as const))('%s', async (_, [op, inputs, attributes = {}, outputs = 1]) => {
  const graph = graphOf(op, inputs, attributes, outputs);
  const special = specializeGraph(graph, {}, operators);
  expect(new Set(special.nodes.map((node) => node.op)).has(op)).toBe(false);
  const expected = await runGraph(graph, {});
  const got = await runGraph(special, {});
  for (const [name, output] of Object.entries(expected)) {
    expect(got[name]?.dtype).toBe(output.dtype);
    expect(got[name]?.shape).toEqual(output.shape);
    expect(Array.from(got[name]?.data as ArrayLike<number>)).toEqual(Array.from(output.data as ArrayLike<number>));
  }
});

const notFolded: readonly Case[] = [
  // A division by zero, an index outside, a number that the type cannot hold: the runtime says what happens.
  ['Div', [int64([1], [1]), int64([1], [0])]],
  ['Gather', [int64([2]), int64([1], [5])]],
  ['Cast', [float32([1], [1e30])], { to: int(7) }],
  ['Cast', [int64([1], [300])], { to: int(3) }],
  ['RandomUniform', [], { shape: ints([2]) }],
  ['Dropout', [numbers, float32([], [0.5]), bool([], [1])]],
];

test.each(notFolded.map((row) => [JSON.stringify(row), row] as const))('%s stays a node', (_, [op, inputs, attributes = {}]) => {
  const special = specializeGraph(graphOf(op, inputs, attributes, 1), {}, operators);
  expect(special.nodes.map((node) => node.op)).toContain(op);
});

test('weights in Constant nodes are weights if the graph has no others; a small table next to weights is a literal', () => {
  const make = (withWeights: boolean): Graph => {
    const build = new GraphBuilder(operators, 'graph');
    const x = build.input('x', { dtype: 'float32', shape: [2, 3] });
    const node = build.op('Constant', [], { value: { kind: 'tensor', value: data(float32([3, 3])) } }, { name: 'node' });
    const weights = withWeights ? [build.constant(data(float32([3, 3])), 'weights')] : [];
    build.output([node, ...weights].reduce((sum, matrix) => build.op('MatMul', [sum, build.op('Transpose', [matrix])]), x));
    return specializeGraph(build.finish(), {}, operators);
  };
  expect([...make(false).constants.keys()].map(({ name }) => name)).toEqual(['node_output']);
  expect([...make(true).constants.keys()].map(({ name }) => name)).toEqual(['weights']);
  // The literal's transpose is known, the weight's is not.
  expect(make(true).nodes.filter(({ op }) => op === 'Transpose').length).toBe(1);
});
