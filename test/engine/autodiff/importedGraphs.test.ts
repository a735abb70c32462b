import { describe, expect, test } from 'vitest';
import { differentiate } from '../../../src/engine/autodiff/differentiate';
import { parametersOf } from '../../../src/engine/graph/passes/parameters';
import { pruneGraph } from '../../../src/engine/graph/passes/prune';
import { verifyGraph } from '../../../src/engine/graph/verifier';
import { operators } from '../../../src/engine/ops';
import { importedGoldens, probeFrequencies, specializedGraph, withLoss } from '../../support/importedGolden';
import { feedTensor, runGraph } from '../../support/runGraph';

/**
 * Graphs of other programs differentiate as they are, and give PyTorch's gradients: small networks of PyTorch's two exporters, and the
 * sample language model as this project builds it.
 */
describe.each([...importedGoldens])('%s', (_, golden) => {
  test.each([
    ['', false],
    [', with the batch as last axis', true],
  ])('loss and gradients match PyTorch%s', async (__, batchLast) => {
    const graph = await specializedGraph(golden);
    const { build, loss, weights, statistics, regions } = withLoss(graph, golden, batchLast);
    expect([...weights.keys()].sort()).toEqual(Object.keys(golden.gradients).sort());
    const gradients = differentiate(build, loss, [...weights.values()], { rules: operators, custom: regions });
    build.output(loss, 'loss:value');
    [...weights.keys()].forEach((name, index) => {
      const gradient = gradients[index];
      expect(gradient, name).toBeDefined();
      if (gradient) build.output(gradient, `gradient:${name}`);
    });
    for (const [statistic, value] of statistics) build.output(value, `new:${statistic}`);
    const finished = pruneGraph(build.finish());
    const convolutions = new Set(graph.nodes.filter(({ op }) => op === 'Conv').map(({ name }) => name));
    if (batchLast) expect(finished.nodes.filter(({ name }) => convolutions.has(name))).toEqual([]);
    verifyGraph(finished, operators);
    const feeds = Object.fromEntries(
      Object.entries(golden.inputs).map(([name, { dtype, shape, values }]) => [name, feedTensor(dtype, shape, values)]),
    );
    const results = await runGraph(finished, feeds);
    const tolerance = golden.header.toleranceRelative;
    const value = Number(results['loss:value']?.data[0]);
    expect(Math.abs(value / golden.value - 1), `loss ${value} against ${golden.value}`).toBeLessThan(1e-5);
    expect([...statistics.keys()].sort()).toEqual(Object.keys(golden.statistics ?? {}).sort());
    for (const [name, expected] of Object.entries(golden.statistics ?? {}))
      expected.forEach((value, at) => expect(Number(results[`new:${name}`]?.data[at]), name).toBeCloseTo(value, 5));
    const largestNorm = Math.max(...Object.values(golden.gradients).map(({ norm }) => norm));
    for (const [name, expected] of Object.entries(golden.gradients)) {
      const got = Float64Array.from(results[`gradient:${name}`]?.data as ArrayLike<number>);
      const norm = Math.sqrt(got.reduce((sum, x) => sum + x * x, 0));
      // Some are zero but for rounding: a bias in front of a softmax shifts nothing.
      if (expected.norm < 1e-12 * largestNorm) {
        expect(norm / largestNorm, `norm of ${name}`).toBeLessThan(1e-6);
        continue;
      }
      const compare = (what: string, value: number, want: number, size: number) =>
        expect(Math.abs(value - want) / size, `${what} of ${name}: ${value} against ${want}`).toBeLessThan(tolerance);
      compare('norm', norm, expected.norm, expected.norm);
      probeFrequencies.forEach((frequency, index) => {
        const product = got.reduce((sum, x, at) => sum + x * Math.cos(frequency * (at + 1)), 0);
        compare(`product with cos(${frequency} i)`, product, expected.products[index] as number, expected.norm);
      });
      const largest = Math.max(...Object.values(expected.elements).map(Math.abs));
      for (const [at, want] of Object.entries(expected.elements)) compare(`element ${at}`, got[Number(at)] as number, want, largest);
    }
  });

  test('finds each weight once, and nothing that PyTorch does not train', async () => {
    const graph = await specializedGraph(golden);
    const { weights, statistics } = parametersOf(graph, operators);
    const names = weights.map((parameter) => parameter.name);
    for (const name of Object.keys(golden.gradients)) expect(names).toContain(name);
    expect(new Set(names).size).toBe(names.length);
    expect(weights.every((parameter) => parameter.used && parameter.uses.length > 0)).toBe(true);
    // An exporter may fold a batch normalisation into the convolution before it, or write group normalisation with ones and zeros of its own.
    if (!golden.model.includes('vision')) expect(names.sort()).toEqual(Object.keys(golden.gradients).sort());
    expect(statistics.every(({ name }) => /running_(mean|var)$/.test(name))).toBe(true);
  });
});
