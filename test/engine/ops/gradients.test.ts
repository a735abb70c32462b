import { test } from 'vitest';
import { SeededRandom } from '../../../src/common/random';
import { expectCentralDifferences, expectClose, numbers, tensors } from '../../support/centralDifferences';
import { buildGradientCase, gradientTitle } from '../../support/gradientCases/buildGradientCase';
import { gradientCases } from '../../support/gradientCases/gradientCases';
import { interpret } from '../../support/interpreter/interpreter';
import { runGraph } from '../../support/runGraph';

/**
 * Every row: the value of the runtime is that of the float64 interpreter to 1e-5, and the gradients that autodiff builds, run by the runtime in
 * float32, are the central differences of the interpreter along one random direction per input to 1e-4 (relative to the largest term).
 */
for (const [index, row] of gradientCases.entries()) {
  test(gradientTitle(row, index), async () => {
    const random = new SeededRandom(1000 + index);
    const { graph, everything } = buildGradientCase(row, random);
    const reference = interpret(graph.value, everything);
    const run = await runGraph(graph.value, tensors(everything));
    // The weighted sum may be a small difference of large terms: what it sums is compared instead.
    for (const [name, expected] of Object.entries(reference))
      if (name !== 'target') expectClose(numbers(run[name]?.data), expected.data, 1e-5, name);
    await expectCentralDifferences(graph, everything, random);
  });
}
