import { describe, expect, test } from 'vitest';
import type { Dimension, TensorType } from '../../../src/engine/graph/types';
import { registry } from '../../../src/engine/ops';
import { operatorCases } from '../../support/operatorCases';
import { isFed, operatorGraph, titleOf } from '../../support/operatorGraph';
import { feedTensor, runGraph } from '../../support/runGraph';

/** Value of a computed length when every name `n5` means 5; undefined for lengths that the rule could not know. */
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
    const graph = operatorGraph(row, (length) => length);
    const actual = await runGraph(graph, feeds);
    const named = operatorGraph(row, (length) => (length > 1 ? `n${length}` : length));
    for (const [index, value] of graph.outputs.entries()) {
      const result = actual[value.name];
      if (!result) throw new Error(`no output ${value.name}`);
      expectType(value.type, result);
      // With names for lengths the rule must still be right, as far as it says anything.
      expectType((named.outputs[index] as typeof value).type, result);
    }
  });

  test('every operator without a body has a test case', () => {
    const rows = new Set(operatorCases.map((row) => `${row.domain ?? ''}:${row.op}`));
    const missing = registry.map((operator) => `${operator.domain}:${operator.name}`).filter((name) => !rows.has(name));
    expect(missing.sort()).toEqual([':If', ':Loop', ':Scan']);
  });
});
