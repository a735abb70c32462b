import { SeededRandom } from '../../../src/common/random';
import type { RuntimeTensor } from '../../../src/engine/runtime/types';
import { seededTensor } from '../../support/feeds';
import { buildGradientCase, gradientTitle } from '../../support/gradientCases/buildGradientCase';
import type { GradientCase } from '../../support/gradientCases/gradientCase';
import { gradientCases } from '../../support/gradientCases/gradientCases';
import { interpret } from '../../support/interpreter/interpreter';
import type { ReferenceTensor } from '../../support/interpreter/interpreter';
import type { CaseResult, CheckedProvider } from '../document';
import { largest, runCase, type Case } from '../placedRun';

/** Number of rows, each with the operator's value and its gradients. */
export const gradientCount = gradientCases.length;

/** Name of a row. */
export const gradientName = (index: number): string => gradientTitle(gradientCases[index] as GradientCase, index);

/** A row on the provider: value against the CPU and the float64 interpreter, gradients against the CPU. */
export async function runGradient(index: number, provider: CheckedProvider): Promise<CaseResult> {
  const row = gradientCases[index] as GradientCase;
  const name = gradientName(index);
  const { graph, everything } = buildGradientCase(row, new SeededRandom(1000 + index));
  const feeds = tensors(everything);
  // The weighted sum may be a small difference of large terms: what it sums is compared instead.
  const outputs = graph.value.outputs.map((output) => output.name).filter((output) => output !== 'target');
  const reference = interpret(graph.value, everything);
  const value: Case = {
    name,
    graph: graph.value,
    feeds,
    outputs,
    reference: Object.fromEntries(outputs.map((output) => [output, (reference[output] as ReferenceTensor).data])),
  };
  const parts = [await runCase(value, provider), await runCase({ name, graph: graph.gradient, feeds }, provider)];
  const problems = parts.flatMap(({ problem }, at) => (problem === undefined ? [] : `${at === 0 ? 'Value' : 'Gradient'}: ${problem}`));
  const fellBack = [...new Set(parts.flatMap((part) => part.fellBack ?? []))].sort();
  return {
    name,
    placed: parts.every(({ placed }) => placed === parts[0]?.placed) ? (parts[0]?.placed ?? 'mixed') : 'mixed',
    ...(fellBack.length === 0 ? {} : { fellBack }),
    ...largest(
      'error',
      parts.map(({ error }) => error),
    ),
    ...largest(
      'referenceError',
      parts.map(({ referenceError }) => referenceError),
    ),
    agrees: parts.every(({ agrees }) => agrees),
    ...(problems.length === 0 ? {} : { problem: problems.join(' ') }),
  };
}

const tensors = (feeds: Readonly<Record<string, ReferenceTensor>>): Readonly<Record<string, RuntimeTensor>> =>
  Object.fromEntries(Object.entries(feeds).map(([name, { dtype, shape, data }]) => [name, seededTensor(dtype, shape, [...data])]));
