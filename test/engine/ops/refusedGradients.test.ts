import { expect, test } from 'vitest';
import { differentiate } from '../../../src/engine/autodiff/differentiate';
import { GraphBuilder, int, type AttributeInput } from '../../../src/engine/graph/builder';
import type { Value } from '../../../src/engine/graph/graph';
import { operators } from '../../../src/engine/ops/index';

/** Differentiates the sum of one node's first output with respect to its first input. */
function differentiateNode(
  op: string,
  inputs: (build: GraphBuilder) => readonly (Value | undefined)[],
  attributes: Readonly<Record<string, AttributeInput>> = {},
  options: { readonly domain?: string; readonly outputs?: number } = {},
): void {
  const build = new GraphBuilder(operators, 'case');
  const given = inputs(build);
  const [y] = build.node(op, given, attributes, options) as [Value];
  const target = build.op('ReduceSum', [y], { keepdims: int(0) });
  differentiate(build, target, [given[0] as Value], { rules: operators });
}

const floats = (build: GraphBuilder, name: string, ...shape: number[]): Value => build.input(name, { dtype: 'float32', shape });

test('uses without a rule are refused with the reason', () => {
  expect(() =>
    differentiateNode('ScatterElements', (build) => [floats(build, 'x', 3, 2), build.int64([0, 1], [1, 2]), floats(build, 'u', 1, 2)], {
      reduction: 'mul',
    }),
  ).toThrow(/ScatterElements.*reduction 'mul' has no gradient rule/);
  expect(() =>
    differentiateNode('Resize', (build) => [floats(build, 'x', 1, 1, 4, 4), undefined, undefined, build.int64([1, 1, 2, 2])], {
      mode: 'linear',
      antialias: int(1),
    }),
  ).toThrow(/Resize.*antialias has no gradient rule/);
  expect(() =>
    differentiateNode(
      'GroupQueryAttention',
      (build) => [
        ...[floats(build, 'q', 1, 1, 8), floats(build, 'k', 1, 1, 8), floats(build, 'v', 1, 1, 8)],
        ...[floats(build, 'pk', 1, 1, 5, 8), floats(build, 'pv', 1, 1, 5, 8)],
        build.input('lengths', { dtype: 'int32', shape: [1] }),
        build.input('total', { dtype: 'int32', shape: [] }),
      ],
      { num_heads: int(1), kv_num_heads: int(1) },
      { domain: 'com.microsoft', outputs: 3 },
    ),
  ).toThrow(/GroupQueryAttention.*cache of 5 positions/);
  expect(() =>
    differentiateNode(
      'FusedConv',
      (build) => [floats(build, 'x', 1, 1, 4, 4), floats(build, 'w', 1, 1, 3, 3)],
      { activation: 'Tanh' },
      {
        domain: 'com.microsoft',
      },
    ),
  ).toThrow(/FusedConv.*activation 'Tanh'/);
});
