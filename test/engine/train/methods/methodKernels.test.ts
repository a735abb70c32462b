import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../../../src/common/random';
import { differentiate, type CustomGradient } from '../../../../src/engine/autodiff/differentiate';
import { GraphBuilder } from '../../../../src/engine/graph/builder';
import type { Value } from '../../../../src/engine/graph/graph';
import { bitWidths, type BitRange } from '../../../../src/engine/kernels/bitWidths';
import { compressedBits } from '../../../../src/engine/kernels/compressedSize';
import { learnedStepSize } from '../../../../src/engine/kernels/learnedStepSize';
import { pseudoQuantizationNoise } from '../../../../src/engine/kernels/pseudoQuantizationNoise';
import { uniformQuantize } from '../../../../src/engine/kernels/uniformQuantize';
import { weightGroups, type GroupedWeight } from '../../../../src/engine/kernels/weightGroups';
import { extremesOf } from '../../../../src/engine/kernels/weightRange';
import { operators } from '../../../../src/engine/ops/index';
import { elementCount } from '../../../../src/protocol/dtypes';
import { canonicalOrder } from '../../../support/methodStep';
import { feedTensor, runGraph } from '../../../support/runGraph';

const random = new SeededRandom(5);
const normals = (count: number, scale = 1): number[] => Array.from({ length: count }, () => Math.fround(scale * random.nextNormal()));

interface Input {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

/**
 * The region's gradient of sum(output * weights), run in float32, against central differences of the same formula in float64 along one random direction for each
 * input. `plain` is the formula written with loops.
 */
async function expectGradients(
  inputs: Readonly<Record<string, Input>>,
  make: (
    build: GraphBuilder,
    values: Readonly<Record<string, Value>>,
  ) => { readonly output: Value; readonly regions: readonly CustomGradient[] },
  plain: (values: Readonly<Record<string, Float64Array>>) => Float64Array,
  wanted: readonly string[],
): Promise<void> {
  const build = new GraphBuilder(operators, 'kernel');
  const values = Object.fromEntries(
    Object.entries(inputs).map(([name, { shape }]) => [name, build.input(name, { dtype: 'float32', shape })]),
  );
  const { output, regions } = make(build, values);
  const shape = output.type.shape as readonly number[];
  const weights = normals(elementCount(shape));
  const target = build.op('ReduceSum', [build.op('Mul', [output, build.float32(weights, shape)])], { keepdims: { kind: 'int', value: 0 } });
  const gradients = differentiate(
    build,
    target,
    wanted.map((name) => values[name] as Value),
    { rules: operators, custom: regions },
  );
  build.output(output, 'output');
  gradients.forEach((gradient, at) => build.output(gradient as Value, `gradient/${wanted[at]}`));
  const feeds = Object.fromEntries(Object.entries(inputs).map(([name, { shape: of, data }]) => [name, feedTensor('float32', of, data)]));
  const results = await runGraph(build.finish(), feeds);

  const doubles = Object.fromEntries(Object.entries(inputs).map(([name, { data }]) => [name, Float64Array.from(data)]));
  const expected = plain(doubles);
  const largest = Math.max(...expected.map(Math.abs));
  Array.from(results['output']?.data as ArrayLike<number>, (value, at) =>
    expect(Math.abs(value - (expected[at] as number)) / largest, `output[${at}]`).toBeLessThan(1e-5),
  );
  for (const name of wanted) {
    const centre = doubles[name] as Float64Array;
    const direction = centre.map(() => 2 * random.next() - 1);
    const step = 1e-6;
    const at = (sign: number): number => {
      const moved = plain({ ...doubles, [name]: centre.map((value, index) => value + sign * step * (direction[index] as number)) });
      return moved.reduce((sum, value, index) => sum + value * (weights[index] as number), 0);
    };
    const want = (at(1) - at(-1)) / (2 * step);
    const terms = Array.from(
      results[`gradient/${name}`]?.data as ArrayLike<number>,
      (value, index) => value * (direction[index] as number),
    );
    const got = terms.reduce((sum, term) => sum + term, 0);
    const scale = Math.max(Math.abs(want), ...terms.map(Math.abs));
    expect(Math.abs(got - want) / scale, `${name}: ${got} against ${want}`).toBeLessThan(1e-4);
  }
}

const layouts: readonly (readonly [string, GroupedWeight, number])[] = [
  ['rows of a held matrix', { shape: [6, 24], heldShape: [24, 6], held: 'transposed' }, 8],
  ['runs across rows of a held matrix', { shape: [6, 20], heldShape: [20, 6], held: 'transposed' }, 8],
  ['a canonical matrix', { shape: [5, 16], heldShape: [5, 16], held: 'canonical' }, 4],
  ['a shorter last group', { shape: [5, 7], heldShape: [7, 5], held: 'transposed' }, 8],
  ['a shorter last group of a kernel', { shape: [3, 2, 3, 3], heldShape: [3, 2, 3, 3], held: 'canonical' }, 16],
  ['a vector', { shape: [30], heldShape: [30], held: 'canonical' }, 5],
  ['the whole tensor', { shape: [6, 10], heldShape: [10, 6], held: 'transposed' }, 0],
];

describe('noise in place of rounding', () => {
  test.each(layouts)('%s', async (_name, weight, groupSize) => {
    const groups = weightGroups(weight, groupSize);
    const count = elementCount(weight.shape);
    const canonicalOf = (values: Float64Array): Float64Array =>
      Float64Array.from(canonicalOrder(weight, Float32Array.from(values.keys())), (index) => values[index] as number);
    const places = canonicalOrder(
      weight,
      Float32Array.from({ length: count }, (_, index) => index),
    );
    await expectGradients(
      {
        w: { shape: weight.heldShape, data: normals(count) },
        bits: { shape: groups.shape, data: Array.from({ length: groups.count }, () => Math.fround(1.5 + 6 * random.next())) },
      },
      (build, { w, bits }) => {
        const noise = groups.view(build, build.float32(noiseOf(count), weight.heldShape));
        const made = pseudoQuantizationNoise(build, {
          weights: w as Value,
          bits: bits as Value,
          range: extremesOf(build, w as Value),
          groups,
          noise,
          scale: 0.5,
          clipped: false,
        });
        return { output: made.weights, regions: [made.region] };
      },
      ({ w, bits }) => {
        const held = w as Float64Array;
        const range = Math.max(...held) - Math.min(...held);
        const canonicalBits = canonicalBitsOf(bits as Float64Array);
        const canonical = canonicalOf(held);
        const noise = canonicalOf(Float64Array.from(noiseOf(count)));
        const result = new Float64Array(count);
        canonical.forEach((value, index) => {
          const width = canonicalBits[Math.floor(index / groups.size)] as number;
          result[places[index] as number] = value + (0.5 * range * (noise[index] as number)) / (2 ** width - 1);
        });
        return result;
      },
      ['w', 'bits'],
    );

    function canonicalBitsOf(bits: Float64Array): Float64Array {
      return Float64Array.from(groups.toCanonical(Float32Array.from(bits.keys())), (index) => bits[index] as number);
    }
  });

  const noiseOf = (count: number): number[] => {
    const own = new SeededRandom(count);
    return Array.from({ length: count }, () => Math.fround(own.nextNormal()));
  };

  test('entries tied for an extreme share its gradient evenly', async () => {
    const build = new GraphBuilder(operators, 'ties');
    const w = build.input('w', { dtype: 'float32', shape: [3, 4] });
    const range = extremesOf(build, w);
    const zero = build.float32(new Array<number>(12).fill(0), [3, 4]);
    build.output(range.addGradient?.(build, zero, build.float32(6)) as Value, 'gradient');
    const data = [2, 0, -1, 2, 1, -1, 0, 0, 2, 1, 1, 0];
    const results = await runGraph(build.finish(), { w: feedTensor('float32', [3, 4], data) });
    expect(Array.from(results['gradient']?.data as ArrayLike<number>, Number)).toEqual([2, 0, -3, 2, 0, -3, 0, 0, 2, 0, 0, 0]);
  });
});

test.each<BitRange>([
  { parametrisation: 'bits', minimum: 2, maximum: 15 },
  { parametrisation: 'noise', minimum: 2, maximum: 15 },
  { parametrisation: 'noise', minimum: 1, maximum: 9 },
])('widths of logits: $parametrisation from $minimum to $maximum', async (range) => {
  await expectGradients(
    { logits: { shape: [4, 1, 5], data: normals(20, 2) } },
    (build, { logits }) => {
      const { bits, region } = bitWidths(build, logits as Value, range);
      return { output: bits, regions: [region] };
    },
    ({ logits }) =>
      (logits as Float64Array).map((logit) => {
        const share = 1 / (1 + Math.exp(-logit));
        if (range.parametrisation === 'bits') return share * range.maximum + (1 - share) * range.minimum;
        const [low, high] = [1 / (2 ** range.maximum - 1), 1 / (2 ** range.minimum - 1)];
        return Math.log2(1 + 1 / (low ** share * high ** (1 - share)));
      }),
    ['logits'],
  );
});

test('the size of a tensor with a shorter last group, and its gradient', async () => {
  const groups = weightGroups({ shape: [3, 7], heldShape: [3, 7], held: 'canonical' }, 8);
  await expectGradients(
    { bits: { shape: [3, 1], data: [3.25, 9.5, 6.125] } },
    (build, { bits }) => ({ output: compressedBits(build, bits as Value, groups, { extraBits: 0.5, minimumBits: 2 }), regions: [] }),
    // The widest is round(10) - 2 + 1 = 9 choices: 4 bits for each of 3 entries of the table.
    ({ bits: [a = 0, b = 0, c = 0] = [] }) => Float64Array.of(8 * a + 8 * b + 5 * c + 0.5 * 21 + 64 + 8 + 4 * 3),
    ['bits'],
  );
});

test('the step of LSQ: the straight-through formula, with rounding held still', async () => {
  const bits = 3;
  const data = normals(40);
  const step = 0.31;
  const first = data.map((value) => Math.round(Math.min(3, Math.max(-4, value / Math.fround(step)))) - value / Math.fround(step));
  await expectGradients(
    { w: { shape: [8, 5], data }, step: { shape: [1], data: [Math.fround(step)] } },
    (build, { w, step: value }) => {
      const { weights, region } = learnedStepSize(build, w as Value, value as Value, bits);
      // The step's gradient is scaled by 1 / sqrt(entries * high); undone here, so that it is the derivative.
      const scaled: CustomGradient = {
        ...region,
        gradient: (backward, given) => {
          const [dw, ds] = region.gradient(backward, given);
          return [dw, ds && backward.op('Mul', [ds, backward.float32(Math.sqrt(40 * 3))])];
        },
      };
      return { output: weights, regions: [scaled] };
    },
    ({ w, step: value }) => {
      const s = (value as Float64Array)[0] as number;
      return (w as Float64Array).map((weight, index) => {
        const scaledWeight = weight / s;
        if (scaledWeight < -4) return -4 * s;
        if (scaledWeight > 3) return 3 * s;
        // round(v) = v + a constant: the identity, as far as the gradient goes.
        return s * (scaledWeight + (first[index] as number));
      });
    },
    ['w', 'step'],
  );
});

test('rounding in the graph: at most half a step away, ends exact, constant tensors stay', async () => {
  for (const [name, weight, groupSize] of layouts) {
    const groups = weightGroups(weight, groupSize);
    const count = elementCount(weight.shape);
    const widths = Float32Array.from({ length: groups.count }, (_, group) => 1 + (group % 6));
    for (const data of [normals(count, 0.1), new Array<number>(count).fill(0.25)]) {
      const build = new GraphBuilder(operators, 'rounding');
      const w = build.input('w', { dtype: 'float32', shape: weight.heldShape });
      const bits = build.float32(Array.from(groups.fromCanonical(widths)), groups.shape);
      build.output(uniformQuantize(build, w, bits, extremesOf(build, w), groups), 'rounded');
      const results = await runGraph(build.finish(), { w: feedTensor('float32', weight.heldShape, data) });
      const rounded = canonicalOrder(weight, Float32Array.from(results['rounded']?.data as ArrayLike<number>, Number));
      const original = canonicalOrder(weight, Float32Array.from(data));
      const range = Math.max(...data) - Math.min(...data);
      original.forEach((value, index) => {
        const step = range / (2 ** (widths[Math.floor(index / groups.size)] as number) - 1);
        expect(Math.abs((rounded[index] as number) - value), `${name}[${index}]`).toBeLessThanOrEqual(step / 2 + 1e-6);
        if (value === Math.max(...data) || value === Math.min(...data)) expect(rounded[index]).toBeCloseTo(value, 6);
      });
    }
  }
});
