import { describe, expect, test } from 'vitest';
import { differentiate } from '../../../src/engine/autodiff/differentiate';
import { float, GraphBuilder, int, type AttributeInput } from '../../../src/engine/graph/builder';
import type { Value } from '../../../src/engine/graph/graph';
import { operators } from '../../../src/engine/ops/index';
import { feedTensor, runGraph } from '../../support/runGraph';

interface Fed {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

const fed = (shape: readonly number[], values: readonly number[]): Fed => ({ shape, values });

/** Gradients of the sum of all values that `make` gives, with respect to the fed inputs, and the other outputs of the graph. */
async function gradientsOf(
  inputs: readonly Fed[],
  make: (build: GraphBuilder, inputs: readonly Value[]) => Value,
): Promise<Readonly<Record<string, readonly number[]>>> {
  const build = new GraphBuilder(operators, 'special');
  const values = inputs.map((input, index) => build.input(`x${index}`, { dtype: 'float32', shape: input.shape }));
  const made = make(build, values);
  const target = build.op('ReduceSum', [made], { keepdims: int(0) });
  const found = differentiate(build, target, values, { rules: operators });
  found.forEach((gradient, index) => {
    if (gradient) build.output(gradient, `d${index}`);
  });
  const feeds = Object.fromEntries(inputs.map((input, index) => [`x${index}`, feedTensor('float32', input.shape, [...input.values])]));
  const result = await runGraph(build.finish(), feeds);
  return Object.fromEntries(
    Object.entries(result).map(([name, output]) => [name, Array.from(output.data as ArrayLike<number>, (value) => value + 0)]),
  );
}

/** The gradient of one operator on one input. */
const gradientOf = async (
  op: string,
  input: Fed,
  attributes: Readonly<Record<string, AttributeInput>> = {},
  more: (build: GraphBuilder) => readonly (Value | undefined)[] = () => [],
): Promise<readonly number[] | undefined> =>
  (await gradientsOf([input], (build, [x]) => build.op(op, [x, ...more(build)], attributes)))['d0'];

const rows = (...values: number[][]): Fed => fed([values.length, values[0]?.length ?? 0], values.flat());
const lastAxis = (build: GraphBuilder): readonly Value[] => [build.int64([-1])];

/** What PyTorch 2.13 gives at ties, kinks and zeros (amax, amin, prod, norm, maximum, pow and their like). */
describe('at ties, kinks and zeros', () => {
  test('tied extremes share the gradient', async () => {
    expect(await gradientOf('ReduceMax', rows([1, 3, 3, 0]), {}, lastAxis)).toEqual([0, 0.5, 0.5, 0]);
    expect(await gradientOf('ReduceMin', rows([0, 3, 0, 0]), {}, lastAxis)).toEqual([1, 0, 1, 1].map((share) => Math.fround(share / 3)));
    const both = await gradientsOf([fed([3], [1, 2, 3]), fed([3], [1, 5, 0])], (build, inputs) => build.op('Max', inputs));
    expect(both).toMatchObject({ d0: [0.5, 0, 1], d1: [0.5, 1, 0] });
  });

  test('a product with one zero has a gradient only there; with two, none', async () => {
    expect(await gradientOf('ReduceProd', rows([2, 0, 3], [0, 0, 3], [2, 1, 3]), {}, lastAxis)).toEqual([0, 6, 0, 0, 0, 0, 3, 6, 2]);
  });

  test('norms of zeros, activations at their kink, limits at their border', async () => {
    expect(await gradientOf('ReduceL2', rows([0, 0], [3, 4]), {}, lastAxis)).toEqual([0, 0, 0.6, 0.8].map(Math.fround));
    // Of a row of zeros the result is 0 whatever the row; PyTorch divides by a small number there and gives a huge gradient.
    expect((await gradientOf('LpNormalization', rows([0, 0], [3, 4])))?.slice(0, 2)).toEqual([0, 0]);
    expect(await gradientOf('Abs', fed([3], [-2, 0, 2]))).toEqual([-1, 0, 1]);
    expect(await gradientOf('Relu', fed([3], [-2, 0, 2]))).toEqual([0, 0, 1]);
    expect(await gradientOf('LeakyRelu', fed([3], [-2, 0, 2]), { alpha: float(0.25) })).toEqual([0.25, 0.25, 1]);
    const clipped = await gradientOf('Clip', fed([5], [-2, -1, 0, 1, 2]), {}, (build) => [build.float32(-1), build.float32(1)]);
    expect(clipped).toEqual([0, 1, 1, 1, 0]);
  });

  test('powers of 0', async () => {
    const both = await gradientsOf([fed([4], [0, 0, 2, -2]), fed([4], [0, 2, 3, 2])], (build, inputs) => build.op('Pow', inputs));
    expect(both['d0']).toEqual([0, 0, 12, -4]);
    expect(both['d1']?.slice(1, 3)).toEqual([0, Math.fround(8 * Math.log(2))]);
  });
});

describe('Dropout', () => {
  const x = fed(
    [200],
    Array.from({ length: 200 }, (_, index) => 1 + index / 100),
  );
  const build =
    (training: (build: GraphBuilder) => Value | undefined, outputs: number) => (builder: GraphBuilder, inputs: readonly Value[]) => {
      const made = builder.node('Dropout', [inputs[0], builder.float32(0.25), training(builder)], { seed: int(3) }, { outputs });
      builder.output(made[0] as Value, 'y');
      return made[0] as Value;
    };
  const bool = (value: number) => (builder: GraphBuilder) =>
    builder.constant({ kind: 'inline', dtype: 'bool', shape: [], bytes: Uint8Array.of(value) });

  test('in training the gradient follows the kept values', async () => {
    const { d0, y } = (await gradientsOf([x], build(bool(1), 2))) as { d0: readonly number[]; y: readonly number[] };
    const kept = y.filter((value) => value !== 0).length;
    expect(kept).toBeGreaterThan(100);
    expect(kept).toBeLessThan(190);
    d0.forEach((gradient, at) => expect(gradient).toBeCloseTo((y[at] as number) / (x.values[at] as number), 5));
  });

  test('a mode that is only known at run time', async () => {
    const decided = (value: number) => (builder: GraphBuilder) => builder.op('Greater', [builder.float32(value), builder.float32(0)]);
    for (const value of [-1, 1]) {
      const { d0, y } = (await gradientsOf([x], build(decided(value), 2))) as { d0: readonly number[]; y: readonly number[] };
      d0.forEach((gradient, at) => expect(gradient).toBeCloseTo((y[at] as number) / (x.values[at] as number), 5));
    }
  });

  test('in inference it is the identity; in training without a mask it is refused', async () => {
    expect((await gradientsOf([x], build(bool(0), 1)))['d0']).toEqual(x.values.map(() => 1));
    expect(
      (
        await gradientsOf(
          [x],
          build(() => undefined, 1),
        )
      )['d0'],
    ).toEqual(x.values.map(() => 1));
    await expect(gradientsOf([x], build(bool(1), 1))).rejects.toThrow(/'Dropout' \(Dropout\).*mask/);
  });
});

describe('unsupported gradients are refused with the node, the operator and the reason', () => {
  const x = fed(
    [2, 3, 3],
    Array.from({ length: 18 }, (_, index) => index / 10),
  );
  test.each([
    ['Einsum', /diagonal/, (build: GraphBuilder, [a]: readonly Value[]) => build.op('Einsum', [a], { equation: 'bii->bi' })],
    [
      'LayerNormalization',
      /statistics/,
      (build: GraphBuilder, [a]: readonly Value[]) =>
        build.node('LayerNormalization', [a, build.float32([1, 1, 1])], {}, { outputs: 3 })[1] as Value,
    ],
    [
      'SoftmaxCrossEntropyLoss',
      /class weights/,
      (build: GraphBuilder, [a]: readonly Value[]) => {
        const weights = build.op('Slice', [a, build.int64([0, 0, 0]), build.int64([1, 1, 3])]);
        const flat = build.op('Reshape', [weights, build.int64([3])]);
        return build.op('SoftmaxCrossEntropyLoss', [a, build.int64([0, 1, 2, 0, 1, 2], [2, 3]), flat]);
      },
    ],
  ])('%s', async (op, reason, make) => {
    await expect(gradientsOf([x], make as (build: GraphBuilder, inputs: readonly Value[]) => Value)).rejects.toThrow(
      new RegExp(`\\(${op}\\) cannot be differentiated.*${reason.source}`),
    );
  });
});
