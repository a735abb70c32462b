import { describe, expect, test } from 'vitest';
import { GraphBuilder } from '../../../src/engine/graph/builder';
import type { Dimension, TensorType } from '../../../src/engine/graph/types';
import { operators, registry } from '../../../src/engine/ops';
import { operatorCases, type CaseInput, type OperatorCase } from '../../support/operatorCases';
import { feedTensor, runGraph } from '../../support/runGraph';

/** Graph of one node; `lengthOf` says how a fed axis is declared. */
function graphOf(row: OperatorCase, lengthOf: (length: number) => Dimension) {
  const build = new GraphBuilder(operators, 'row', row.opset ?? 21);
  const inputs = row.inputs.map((input, index) => {
    if (input === undefined) return undefined;
    if (input.kind === 'constant') return build.constant(input.data);
    // A vector of lengths says how many there are, whatever else is unknown.
    const shape = input.dtype === 'int64' && input.shape.length === 1 && input.values ? input.shape : input.shape.map(lengthOf);
    return build.input(`x${index}`, { dtype: input.dtype, shape });
  });
  const count = row.outputs ?? 1;
  const values = build.node(row.op, inputs, row.attributes ?? {}, {
    ...(row.domain === undefined ? {} : { domain: row.domain }),
    outputNames: Array.from({ length: count }, (_, index) => `y${index}`),
  });
  for (const value of values) build.output(value);
  return build.finish();
}

const isFed = (input: CaseInput): input is NonNullable<CaseInput> & { readonly kind: 'fed' } => input?.kind === 'fed';

function titleOf(row: OperatorCase): string {
  const inputs = row.inputs.map((input) =>
    input === undefined
      ? '-'
      : `${input.kind === 'fed' ? 'fed' : 'const'}[${(input.kind === 'fed' ? input.shape : input.data.shape).join(',')}]`,
  );
  return `${row.domain ? `${row.domain}.` : ''}${row.op}(${inputs.join(' ')})`;
}

/** Value of a computed length when every name `n5` stands for 5; undefined for lengths that the rule could not know. */
function evaluateLength(length: Dimension): number | undefined {
  if (typeof length === 'number') return length;
  if (length.includes('.')) return undefined;
  const formula = length.replace(/n(\d+)/g, '$1').replaceAll('max(', 'Math.max(');
  return new Function(`return ${formula};`)() as number;
}

function expectType(type: TensorType, actual: { readonly dtype: string; readonly shape: readonly number[] }): void {
  expect(type.dtype).toBe(actual.dtype);
  if (type.shape === undefined) return;
  expect(type.shape.map((length, axis) => evaluateLength(length) ?? actual.shape[axis])).toEqual(actual.shape);
}

describe('shape rules agree with the runtime', () => {
  test.each(operatorCases.map((row) => [titleOf(row), row] as const))('%s', async (_, row) => {
    const feeds = Object.fromEntries(
      row.inputs.flatMap((input, index) =>
        isFed(input) ? [[`x${index}`, feedTensor(input.dtype, input.shape, input.values, index + 1)]] : [],
      ),
    );
    const graph = graphOf(row, (length) => length);
    const actual = await runGraph(graph, feeds);
    const named = graphOf(row, (length) => (length > 1 ? `n${length}` : length));
    for (const [index, value] of graph.outputs.entries()) {
      const result = actual[value.name];
      if (!result) throw new Error(`no output ${value.name}`);
      expectType(value.type, result);
      // With names for lengths the rule must still be right, as far as it says anything.
      expectType((named.outputs[index] as typeof value).type, result);
    }
  });

  test('every operator without a body has a row', () => {
    const rows = new Set(operatorCases.map((row) => `${row.domain ?? ''}:${row.op}`));
    const missing = registry.map((operator) => `${operator.domain}:${operator.name}`).filter((name) => !rows.has(name));
    expect(missing.sort()).toEqual([':If', ':Loop', ':Scan']);
  });
});
