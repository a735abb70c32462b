import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../../../src/common/random';
import { differentiate } from '../../../../src/engine/autodiff/differentiate';
import { float, GraphBuilder, int, ints } from '../../../../src/engine/graph/builder';
import type { RegionGradient } from '../../../../src/engine/graph/gradient';
import type { Graph, Value } from '../../../../src/engine/graph/graph';
import { batchStatistics } from '../../../../src/engine/graph/passes/batchStatistics';
import { inlineGraph } from '../../../../src/engine/graph/passes/inline';
import { pruneGraph } from '../../../../src/engine/graph/passes/prune';
import { verifyGraph } from '../../../../src/engine/graph/verifier';
import { operators } from '../../../../src/engine/ops/index';
import { batchLastLayout } from '../../../../src/engine/train/batchLast/layout';
import { elementCount } from '../../../../src/protocol/dtypes';
import { expectCentralDifferences, expectClose, numbers, tensors } from '../../../support/centralDifferences';
import { draw, float32 } from '../../../support/gradientCases/buildGradientCase';
import { convolutionCases } from '../../../support/gradientCases/convolutions';
import { interpret, referenceTensor, type ReferenceTensor } from '../../../support/interpreter/interpreter';
import { runGraph } from '../../../support/runGraph';

/** Draws an input of a network. */
type Input = (shape: readonly number[], limits?: { readonly low?: number; readonly high?: number; readonly apart?: number }) => Value;

interface Network {
  readonly name: string;
  /** Operators that stay as they are. Default: none. */
  readonly kept?: readonly string[];
  build(build: GraphBuilder, input: Input): Value;
}

const same = { pads: ints([1, 1, 1, 1]) };
const conv = (build: GraphBuilder, input: Input, x: Value, maps: number, attributes: Parameters<GraphBuilder['op']>[2] = same): Value =>
  build.op('Conv', [x, input([maps, (x.type.shape as readonly number[])[1] as number, 3, 3])], attributes);

const single: readonly Network[] = convolutionCases
  .filter(({ op }) => op === 'Conv')
  .map(({ inputs, attributes = {} }, index) => ({
    name: `convolution ${inputs.map((input) => `[${input?.kind === 'drawn' ? input.shape.join(', ') : ''}]`).join(' ')} (row ${index})`,
    build: (build, input) =>
      build.op(
        'Conv',
        inputs.map((each) => (each?.kind === 'drawn' ? input(each.shape) : undefined)),
        attributes,
      ),
  }));

const pool =
  (attributes: Parameters<GraphBuilder['op']>[2], size = 6): Network['build'] =>
  (build, input) =>
    build.op('MaxPool', [conv(build, input, input([2, 2, size, size], { apart: 0.02 }), 3)], attributes);

const networks: readonly Network[] = [
  ...single,
  {
    name: 'a kernel wider than its stride is long, and places that no window reaches',
    build: (build, input) =>
      build.op('Conv', [input([2, 2, 9, 9]), input([3, 2, 2, 2]), input([3])], { strides: ints([3, 3]), pads: ints([0, 0, 0, 0]) }),
  },
  {
    name: 'groups with a bias, strides and parts of a kernel in the border',
    build: (build, input) =>
      build.op('Conv', [input([2, 4, 7, 5]), input([6, 2, 5, 3]), input([6])], {
        group: int(2),
        strides: ints([2, 1]),
        pads: ints([2, 1, 2, 1]),
      }),
  },
  {
    name: 'normalisation, activation, pool, a residual sum and the mean over space',
    build: (build, input) => {
      const norm = (x: Value): Value => {
        const channels = (x.type.shape as readonly number[])[1] as number;
        const statistics = [0, 1].map((value) => {
          const bytes = new Uint8Array(new Float32Array(channels).fill(value).buffer);
          return build.constant({ kind: 'inline', dtype: 'float32', shape: [channels], bytes });
        });
        return build.op('BatchNormalization', [x, input([channels], { low: 0.5, high: 2 }), input([channels]), ...statistics]);
      };
      const first = build.op('Softplus', [norm(conv(build, input, input([3, 2, 6, 6]), 4))]);
      const pooled = build.op('AveragePool', [first], { kernel_shape: ints([2, 2]), strides: ints([2, 2]) });
      const second = build.op('Tanh', [norm(conv(build, input, pooled, 4))]);
      return build.op('Flatten', [build.op('GlobalAveragePool', [build.op('Add', [second, pooled])])]);
    },
    kept: ['Flatten'],
  },
  { name: 'maxima of windows side by side', build: pool({ kernel_shape: ints([2, 2]), strides: ints([2, 2]) }) },
  { name: 'maxima of windows apart, a rest left over', build: pool({ kernel_shape: ints([2, 2]), strides: ints([3, 3]) }, 7) },
  { name: 'maxima of windows that overlap', build: pool({ kernel_shape: ints([3, 3]), strides: ints([2, 2]), pads: ints([1, 1, 1, 1]) }) },
  { name: 'maxima, rounded up', build: pool({ kernel_shape: ints([2, 2]), strides: ints([2, 2]), ceil_mode: int(1) }, 5) },
  { name: 'maxima, dilated', build: pool({ kernel_shape: ints([2, 2]), strides: ints([2, 2]), dilations: ints([2, 2]) }, 7) },
  { name: 'maxima at every place, which stay', build: pool({ kernel_shape: ints([3, 3]), ...same }), kept: ['MaxPool'] },
  {
    name: 'means with borders counted',
    build: (build, input) =>
      build.op('AveragePool', [conv(build, input, input([2, 2, 5, 5]), 3)], {
        kernel_shape: ints([3, 3]),
        strides: ints([2, 2]),
        count_include_pad: int(1),
        ...same,
      }),
  },
  {
    name: 'values for each channel, numbers, and gates for each sample',
    build: (build, input) => {
      const maps = conv(build, input, input([3, 2, 4, 4]), 3);
      const scaled = build.op('Mul', [build.op('Add', [maps, input([3, 1, 1])]), input([1, 3, 1, 1])]);
      const bent = build.op('PRelu', [build.op('Sub', [scaled, build.float32(0.3)]), input([3, 1, 1])]);
      const gate = build.op('Sigmoid', [build.op('GlobalAveragePool', [bent])]);
      return build.op('Clip', [build.op('Mul', [bent, gate]), build.float32(-1), build.float32(1)]);
    },
  },
  {
    name: 'maps side by side, and means as exporters write them',
    build: (build, input) => {
      const x = input([2, 2, 4, 4]);
      const both = build.op('Concat', [conv(build, input, x, 2), conv(build, input, x, 3)], { axis: int(-3) });
      return build.op('ReduceMean', [build.op('LeakyRelu', [both], { alpha: float(0.2) }), build.int64([-1, 2])], { keepdims: int(0) });
    },
  },
  {
    name: 'means that keep their axes',
    build: (build, input) =>
      build.op('Neg', [build.op('ReduceMean', [conv(build, input, input([2, 2, 4, 4]), 3), build.int64([2, 3])], { keepdims: int(1) })]),
  },
  {
    name: 'operators that know no other layout, in between',
    build: (build, input) => {
      const first = conv(build, input, input([2, 2, 4, 4]), 3);
      const turned = build.op('Softmax', [build.op('Add', [first, input([2, 3, 4, 4])])], { axis: int(1) });
      return build.op('ReduceMean', [conv(build, input, turned, 2), build.int64([1])], { keepdims: int(0) });
    },
    kept: ['Add', 'Softmax', 'ReduceMean'],
  },
];

/** The network as it is, in training form, with a weighted sum of its output as `target`. */
function network(
  { build: add }: Network,
  random: SeededRandom,
): { readonly graph: Graph; readonly feeds: Record<string, ReferenceTensor> } {
  const build = new GraphBuilder(operators, 'network');
  const feeds: Record<string, ReferenceTensor> = {};
  const input: Input = (shape, limits = {}) => {
    const name = `x${Object.keys(feeds).length}`;
    feeds[name] = referenceTensor('float32', shape, float32(draw({ kind: 'drawn', shape, ...limits }, {}, random)));
    return build.input(name, { dtype: 'float32', shape });
  };
  build.output(add(build, input));
  return { graph: build.finish(), feeds };
}

/** The same in the layout asked for, and with gradients of all inputs where that is asked for. */
function copied(graph: Graph, weights: ReferenceTensor, as: { readonly batchLast: boolean; readonly gradients: boolean }): Graph {
  const build = new GraphBuilder(operators, 'copy');
  const inputs = new Map(graph.inputs.map(({ name, type }) => [name, build.input(name, type)]));
  const statistics = batchStatistics(graph, build, operators);
  const layout = as.batchLast
    ? batchLastLayout(build, statistics.rewrite, () => true)
    : { rewrite: statistics.rewrite, regions: [] as readonly RegionGradient[] };
  const y = inlineGraph(build, graph, inputs, { prefix: 'as it is/', rewrite: layout.rewrite }).get(graph.outputs[0]?.name ?? '') as Value;
  const weight = build.input('weights', { dtype: 'float32', shape: weights.shape });
  const target = build.op('MatMul', [weight, build.op('Reshape', [y, build.int64([-1])])]);
  if (as.gradients) {
    const wanted = [...inputs.values()];
    const found = differentiate(build, target, wanted, { rules: operators, custom: [...statistics.regions, ...layout.regions] });
    wanted.forEach((value, at) => build.output(found[at] as Value, `gradient:${value.name}`));
  } else {
    build.output(y, 'result');
    build.output(target, 'target');
  }
  const finished = pruneGraph(build.finish());
  verifyGraph(finished, operators);
  return finished;
}

describe('values and gradients with the batch as last axis match those of the original graph', () => {
  test.each(networks.map((each) => [each.name, each] as const))('%s', async (_, each) => {
    const random = new SeededRandom(7);
    const { graph, feeds } = network(each, random);
    const shape = graph.outputs[0]?.type.shape as readonly number[];
    const weights = referenceTensor(
      'float32',
      [elementCount(shape)],
      float32(Array.from({ length: elementCount(shape) }, () => 2 * random.next() - 1)),
    );
    const everything = { ...feeds, weights };
    const reference = copied(graph, weights, { batchLast: false, gradients: false });
    const value = copied(graph, weights, { batchLast: true, gradients: false });
    const expected = interpret(reference, everything)['result'] as ReferenceTensor;
    const results = await runGraph(value, tensors(everything));
    expect(results['result']?.shape).toEqual(shape);
    expectClose(numbers(results['result']?.data), expected.data, 1e-5, 'result');

    const left = value.nodes.filter(({ name }) => name.startsWith('as it is/')).map(({ op }) => op);
    expect([...new Set(left)].sort()).toEqual([...(each.kept ?? [])].sort());

    const gradient = copied(graph, weights, { batchLast: true, gradients: true });
    await expectCentralDifferences({ value: reference, gradient, differentiated: Object.keys(feeds) }, everything, random);
  });
});

describe('both layouts agree in the runtime', () => {
  /** Gradients of all inputs in both layouts, run by the runtime. */
  async function gradientsOf(each: Network, change: (data: Float64Array) => Float64Array = (data) => data) {
    const random = new SeededRandom(11);
    const { graph, feeds } = network(each, random);
    const count = elementCount(graph.outputs[0]?.type.shape as readonly number[]);
    const weights = referenceTensor('float32', [count], float32(Array.from({ length: count }, () => 2 * random.next() - 1)));
    const changed = Object.fromEntries(
      Object.entries(feeds).map(([name, { dtype, shape, data }]) => [name, referenceTensor(dtype, shape, change(data))]),
    );
    const made = copied(graph, weights, { batchLast: true, gradients: true });
    const asItIs = copied(graph, weights, { batchLast: false, gradients: true });
    const fed = tensors({ ...changed, weights });
    return { stored: await runGraph(asItIs, fed), batchLast: await runGraph(made, fed), graph: made };
  }

  test('the first of equal values in a window gets the gradient of the maximum', async () => {
    const each: Network = {
      name: 'ties',
      build: (build, input) => {
        const maps = build.op('Conv', [input([2, 1, 6, 6]), input([1, 1, 1, 1])]);
        return build.op('MaxPool', [maps], { kernel_shape: ints([3, 3]), strides: ints([2, 2]), ...same });
      },
    };
    // Two different values only.
    const { stored, batchLast } = await gradientsOf(each, (data) => data.map((value) => (value > 0 ? 1 : 0.5)));
    const expected = numbers(stored['gradient:x0']?.data);
    expect(expected.filter((value) => value !== 0).length).toBeGreaterThan(5);
    expectClose(numbers(batchLast['gradient:x0']?.data), expected, 1e-6, 'x0');
  });

  test('patches too large to be built at once', async () => {
    const each: Network = {
      name: 'large',
      build: (build, input) => {
        const x = build.op('Conv', [input([8, 3, 112, 112]), input([8, 3, 1, 1])]);
        const strided = build.op('Conv', [x, input([8, 4, 5, 5]), input([8])], {
          group: int(2),
          strides: ints([2, 2]),
          pads: ints([2, 2, 2, 2]),
        });
        return build.op('GlobalAveragePool', [
          conv(build, input, build.op('Add', [x, build.op('Resize', [strided, undefined, build.float32([1, 1, 2, 2])])]), 8),
        ]);
      },
    };
    const { stored, batchLast, graph } = await gradientsOf(each);
    // Each part of the patches meets its part of the gradient.
    expect(graph.nodes.filter(({ op }) => op === 'Slice').length).toBeGreaterThan(3);
    for (const name of Object.keys(stored))
      expectClose(numbers(batchLast[name]?.data), Float64Array.from(numbers(stored[name]?.data)), 1e-4, name);
  });
});
