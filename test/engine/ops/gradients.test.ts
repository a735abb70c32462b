import { expect, test } from 'vitest';
import { SeededRandom } from '../../../src/common/random';
import { differentiate } from '../../../src/engine/autodiff/differentiate';
import { GraphBuilder, int } from '../../../src/engine/graph/builder';
import type { Graph, Value } from '../../../src/engine/graph/graph';
import { operators } from '../../../src/engine/ops/index';
import { elementCount, floatDTypes } from '../../../src/protocol/dtypes';
import type { GradientCase, GradientInput } from '../../support/gradientCases/gradientCase';
import { gradientCases } from '../../support/gradientCases/gradientCases';
import { interpret, referenceTensor, type ReferenceTensor } from '../../support/interpreter/interpreter';
import { feedTensor, runGraph } from '../../support/runGraph';

/**
 * Every row: the value of the runtime is that of the float64 interpreter to 1e-5, and the gradients that autodiff builds, run by the runtime in
 * float32, are the central differences of the interpreter along one random direction per input to 1e-4 (relative to the largest term).
 */
for (const [index, row] of gradientCases.entries()) {
  const shapes = row.inputs.map((input) => (input ? `[${shapeOf(input).join(', ')}]` : '-')).join(' ');
  test(`${row.domain ? `${row.domain}.` : ''}${row.op} ${shapes}${row.note ? ` ${row.note}` : ''} (row ${index})`, async () => {
    const random = new SeededRandom(1000 + index);
    const feeds = feedsOf(row, random);
    const { graph, weights } = buildCase(row, random);
    const everything = { ...feeds, ...weights };
    const reference = interpret(graph.value, everything);
    const run = await runGraph(graph.value, tensors(everything));
    // The weighted sum may be a small difference of large terms: what it sums is compared instead.
    for (const [name, expected] of Object.entries(reference))
      if (name !== 'target') expectClose(numbers(run[name]?.data), expected.data, 1e-5, name);

    const gradients = await runGraph(graph.gradient, tensors(everything));
    for (const name of graph.differentiated) {
      const centre = feeds[name] as ReferenceTensor;
      const direction = Float64Array.from(centre.data, () => 2 * random.next() - 1);
      const step = 1e-5;
      const lossAt = (sign: number): number => {
        const moved = referenceTensor(
          centre.dtype,
          centre.shape,
          centre.data.map((value, at) => value + sign * step * (direction[at] as number)),
        );
        return interpret(graph.value, { ...everything, [name]: moved })['target']?.data[0] as number;
      };
      const expected = (lossAt(1) - lossAt(-1)) / (2 * step);
      const gradient = numbers(gradients[`gradient:${name}`]?.data);
      expect(gradient.length, `gradient of ${name}`).toBe(centre.data.length);
      const terms = gradient.map((value, at) => value * (direction[at] as number));
      const got = terms.reduce((sum, term) => sum + term, 0);
      const scale = Math.max(1e-2, Math.abs(expected), ...terms.map(Math.abs));
      expect(Math.abs(got - expected) / scale, `${name}: ${got} against ${expected}`).toBeLessThan(1e-4);
    }
  });
}

interface BuiltCase {
  readonly value: Graph;
  readonly gradient: Graph;
  readonly differentiated: readonly string[];
}

/** The node, a weighted sum of its float outputs as `target`, and the same with gradients. */
function buildCase(row: GradientCase, random: SeededRandom): { graph: BuiltCase; weights: Record<string, ReferenceTensor> } {
  const weights: Record<string, ReferenceTensor> = {};
  const make = (withGradients: boolean): { readonly graph: Graph; readonly differentiated: readonly string[] } => {
    const build = new GraphBuilder(operators, 'case', row.opset ?? 21);
    const inputs = row.inputs.map((input, at) => inputValue(build, input, `x${at}`));
    const outputs = build.node(row.op, inputs, row.attributes ?? {}, {
      outputs: row.outputs ?? 1,
      ...(row.domain ? { domain: row.domain } : {}),
    });
    const parts = outputs.flatMap((output, at) => {
      if (!floatDTypes.includes(output.type.dtype) || !(row.targets ?? [at]).includes(at)) return [];
      const shape = output.type.shape as readonly number[];
      weights[`w${at}`] ??= referenceTensor(
        'float32',
        shape,
        float32(Array.from({ length: elementCount(shape) }, () => 2 * random.next() - 1)),
      );
      const weight = build.input(`w${at}`, { dtype: 'float32', shape });
      const single = output.type.dtype === 'float32' ? output : build.op('Cast', [output], { to: int(1) });
      return [build.op('MatMul', [build.op('Reshape', [weight, build.int64([-1])]), build.op('Reshape', [single, build.int64([-1])])])];
    });
    const target = parts.reduce((sum, part) => build.op('Add', [sum, part]));
    const wanted = inputs.flatMap((value) =>
      value && value.name.startsWith('x') && value.type.dtype === 'float32' && !build.constantOf(value) ? [value] : [],
    );
    if (withGradients) {
      const found = differentiate(build, target, wanted, { rules: operators });
      wanted.forEach((value, at) => build.output(found[at] ?? build.op('Sub', [value, value]), `gradient:${value.name}`));
    } else {
      outputs.forEach((output, at) => {
        if (!(row.unwritten ?? []).includes(at)) build.output(output, `y${at}`);
      });
      build.output(target, 'target');
    }
    return { graph: build.finish(), differentiated: wanted.map((value) => value.name) };
  };
  const { graph: value, differentiated } = make(false);
  return { graph: { value, gradient: make(true).graph, differentiated }, weights };
}

function inputValue(build: GraphBuilder, input: GradientInput, name: string): Value | undefined {
  if (input === undefined) return undefined;
  if (input.kind === 'constant') return build.constant(input.data);
  return build.input(name, { dtype: input.kind === 'drawn' ? 'float32' : input.dtype, shape: input.shape });
}

function feedsOf(row: GradientCase, random: SeededRandom): Record<string, ReferenceTensor> {
  const feeds: Record<string, ReferenceTensor> = {};
  row.inputs.forEach((input, at) => {
    if (input === undefined || input.kind === 'constant') return;
    feeds[`x${at}`] =
      input.kind === 'given'
        ? referenceTensor(input.dtype, input.shape, input.values)
        : referenceTensor('float32', input.shape, float32(draw(input, row, random)));
  });
  return feeds;
}

function draw(input: Extract<GradientInput, { kind: 'drawn' }>, row: GradientCase, random: SeededRandom): number[] {
  const { low = -1, high = 1, shape, apart } = input;
  const count = elementCount(shape);
  if (apart !== undefined) {
    // Distinct values in random order: a grid, shuffled by sorting on random keys.
    const gap = Math.max(apart, (high - low) / Math.max(1, count));
    return Array.from({ length: count }, (_, at) => ({ value: low + gap * (at + 0.3 * random.next()), key: random.next() }))
      .sort((a, b) => a.key - b.key)
      .map(({ value }) => value);
  }
  return Array.from({ length: count }, () => {
    for (;;) {
      const value = low + (high - low) * random.next();
      if (!(row.kinks ?? []).some((kink) => Math.abs(value - kink) < 0.02)) return value;
    }
  });
}

const float32 = (values: readonly number[]): readonly number[] => values.map(Math.fround);

const tensors = (feeds: Readonly<Record<string, ReferenceTensor>>) =>
  Object.fromEntries(Object.entries(feeds).map(([name, { dtype, shape, data }]) => [name, feedTensor(dtype, shape, [...data])]));

const numbers = (data: ArrayLike<number> | ArrayLike<bigint> | undefined): number[] =>
  Array.from((data ?? []) as ArrayLike<number>, Number);

function shapeOf(input: NonNullable<GradientInput>): readonly number[] {
  return input.kind === 'constant' ? input.data.shape : input.shape;
}

/** Relative to the largest value: sums of many terms lose digits in the small ones. */
function expectClose(got: readonly number[], expected: ArrayLike<number>, tolerance: number, name: string): void {
  expect(got.length, name).toBe(expected.length);
  const scale = Math.max(1e-3, ...Array.from(expected, (value) => (Number.isFinite(value) ? Math.abs(value) : 0)));
  got.forEach((value, at) => {
    const want = expected[at] as number;
    if (Object.is(value, want) || (Number.isNaN(value) && Number.isNaN(want))) return;
    expect(Math.abs(value - want) / scale, `${name}[${at}]: ${value} against ${want}`).toBeLessThan(tolerance);
  });
}
