import { expect } from 'vitest';
import type { SeededRandom } from '../../src/common/random';
import type { Graph } from '../../src/engine/graph/graph';
import { interpret, referenceTensor, type ReferenceTensor } from './interpreter/interpreter';
import { feedTensor, runGraph } from './runGraph';

/** What tests of gradients have in common: comparisons with the interpreter and its central differences. */

/** A graph with the output `target`, and another with an output `gradient:NAME` for each of the inputs that are differentiated. */
export interface DifferentiatedCase {
  readonly value: Graph;
  readonly gradient: Graph;
  readonly differentiated: readonly string[];
}

/**
 * The gradients, run by the runtime in float32, are the central differences of the float64 interpreter along one random direction for each input, to 1e-4
 * relative to the largest term.
 */
export async function expectCentralDifferences(
  { value, gradient: gradientGraph, differentiated }: DifferentiatedCase,
  feeds: Readonly<Record<string, ReferenceTensor>>,
  random: SeededRandom,
): Promise<void> {
  const gradients = await runGraph(gradientGraph, tensors(feeds));
  for (const name of differentiated) {
    const centre = feeds[name] as ReferenceTensor;
    const direction = Float64Array.from(centre.data, () => 2 * random.next() - 1);
    const step = 1e-5;
    const lossAt = (sign: number): number => {
      const moved = referenceTensor(
        centre.dtype,
        centre.shape,
        centre.data.map((entry, at) => entry + sign * step * (direction[at] as number)),
      );
      return interpret(value, { ...feeds, [name]: moved })['target']?.data[0] as number;
    };
    const expected = (lossAt(1) - lossAt(-1)) / (2 * step);
    const gradient = numbers(gradients[`gradient:${name}`]?.data);
    expect(gradient.length, `gradient of ${name}`).toBe(centre.data.length);
    const terms = gradient.map((entry, at) => entry * (direction[at] as number));
    const got = terms.reduce((sum, term) => sum + term, 0);
    const scale = Math.max(1e-2, Math.abs(expected), ...terms.map(Math.abs));
    expect(Math.abs(got - expected) / scale, `${name}: ${got} against ${expected}`).toBeLessThan(1e-4);
  }
}

/** Feeds of the interpreter as those of the runtime. */
export const tensors = (feeds: Readonly<Record<string, ReferenceTensor>>) =>
  Object.fromEntries(Object.entries(feeds).map(([name, { dtype, shape, data }]) => [name, feedTensor(dtype, shape, [...data])]));

/** Numbers of a result, whatever its type. */
export const numbers = (data: ArrayLike<number> | ArrayLike<bigint> | undefined): number[] =>
  Array.from((data ?? []) as ArrayLike<number>, Number);

/** Relative to the largest value: sums of many terms lose digits in the small ones. */
export function expectClose(got: readonly number[], expected: ArrayLike<number>, tolerance: number, name: string): void {
  expect(got.length, name).toBe(expected.length);
  const size = (value: number): number => (Number.isFinite(value) ? Math.abs(value) : 0);
  const scale = Array.from(expected).reduce((largest, value) => Math.max(largest, size(value)), 1e-3);
  const differs = (value: number, at: number): boolean => {
    const want = expected[at] as number;
    if (Object.is(value, want) || (Number.isNaN(value) && Number.isNaN(want))) return false;
    return !(Math.abs(value - want) / scale < tolerance);
  };
  const at = got.findIndex(differs);
  if (at >= 0) expect.unreachable(`${name}[${at}]: ${got[at]} against ${expected[at]}, largest ${scale}`);
}
