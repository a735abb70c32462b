import { expect, test } from 'vitest';
import { SeededRandom } from '../../../src/common/random';
import { buildGradientCase, gradientTitle } from '../../support/gradientCases/buildGradientCase';
import { gradientCases } from '../../support/gradientCases/gradientCases';
import { interpret, referenceTensor, type ReferenceTensor } from '../../support/interpreter/interpreter';
import { feedTensor, runGraph } from '../../support/runGraph';

/**
 * Every row: the value of the runtime is that of the float64 interpreter to 1e-5, and the gradients that autodiff builds, run by the runtime in
 * float32, are the central differences of the interpreter along one random direction per input to 1e-4 (relative to the largest term).
 */
for (const [index, row] of gradientCases.entries()) {
  test(gradientTitle(row, index), async () => {
    const random = new SeededRandom(1000 + index);
    const { graph, feeds, everything } = buildGradientCase(row, random);
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

const tensors = (feeds: Readonly<Record<string, ReferenceTensor>>) =>
  Object.fromEntries(Object.entries(feeds).map(([name, { dtype, shape, data }]) => [name, feedTensor(dtype, shape, [...data])]));

const numbers = (data: ArrayLike<number> | ArrayLike<bigint> | undefined): number[] =>
  Array.from((data ?? []) as ArrayLike<number>, Number);

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
