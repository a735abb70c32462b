import { describe, expect, test } from 'vitest';
import { differentiate } from '../../../src/engine/autodiff/differentiate';
import { GraphBuilder, int } from '../../../src/engine/graph/builder';
import { elementTypeOf } from '../../../src/engine/graph/elementTypes';
import type { ConstantData } from '../../../src/engine/graph/types';
import { operators, registry } from '../../../src/engine/ops/index';
import { floatDTypes, type DType } from '../../../src/protocol/dtypes';
import type { GradientCase } from '../../support/gradientCases/gradientCase';
import { gradientCases } from '../../support/gradientCases/gradientCases';
import { refusedOperators } from '../../support/gradientCases/refused';

/** Operators that no row can hold (random draws): their tests are in specialGradients.test.ts. */
const specialTests: readonly string[] = [':Dropout'];

const nameOf = ({ domain, name }: { readonly domain: string; readonly name: string }): string => `${domain}:${name}`;

describe('every operator can be differentiated, has zero gradient, or is refused for a reason', () => {
  const tested = new Set(gradientCases.map((row) => `${row.domain ?? ''}:${row.op}`));

  test('operators with a rule have a test case', () => {
    const missing = registry.filter(({ gradient }) => typeof gradient === 'function').map(nameOf);
    expect(missing.filter((name) => !tested.has(name)).sort()).toEqual([...specialTests].sort());
  });

  test('exactly the operators without a rule are refused', () => {
    const without = registry.filter(({ gradient }) => gradient === undefined).map(nameOf);
    expect(without.sort()).toEqual(Object.keys(refusedOperators).sort());
  });
});

/** Rules for which a type makes no sense, or that the operator itself does not have. */
const singleOnly = /MatMulNBits/;

describe.each(['float64', 'float16'] as const)('rules stay in %s', (dtype) => {
  const rows = gradientCases.filter((row) => !singleOnly.test(row.op));
  test.each(rows.map((row, index) => [`${row.domain ?? ''}:${row.op} ${row.note ?? ''} (row ${index})`, row] as const))('%s', (_, row) => {
    differentiateIn(row, dtype);
  });
});

/** Builds a row with another float type and differentiates it: the builder refuses mixed types, the walk refuses gradients of another type. */
function differentiateIn(row: GradientCase, dtype: DType): void {
  const build = new GraphBuilder(operators, 'case', row.opset ?? 21);
  const inputs = row.inputs.map((input, at) => {
    if (input === undefined) return undefined;
    // Scales of Resize are float32 whatever is resized.
    if (input.kind === 'constant') return build.constant(row.op === 'Resize' ? input.data : constantIn(input.data, dtype));
    const own = input.kind === 'drawn' ? 'float32' : input.dtype;
    return build.input(`x${at}`, { dtype: own === 'float32' ? dtype : own, shape: input.shape });
  });
  const outputs = build.node(row.op, inputs, row.attributes ?? {}, {
    outputs: row.outputs ?? 1,
    ...(row.domain ? { domain: row.domain } : {}),
  });
  const sums = outputs.flatMap((output, at) => {
    if (!floatDTypes.includes(output.type.dtype) || !(row.targets ?? [at]).includes(at)) return [];
    const same = build.op('Cast', [output], { to: int(elementTypeOf(dtype) ?? 1) });
    return [build.op('ReduceSum', [same], { keepdims: int(0) })];
  });
  const target = sums.reduce((total, part) => build.op('Add', [total, part]));
  const wanted = inputs.filter((value) => value !== undefined && value.type.dtype === dtype && value.name.startsWith('x'));
  differentiate(
    build,
    target,
    wanted.filter((value) => value !== undefined),
    { rules: operators },
  );
}

/** A float32 constant with bytes of another float type; the values do not matter here, so all are 1. */
function constantIn(data: ConstantData, dtype: DType): ConstantData {
  if (data.kind !== 'inline' || data.dtype !== 'float32') return data;
  const count = data.bytes.byteLength / 4;
  const bytes =
    dtype === 'float64'
      ? Float64Array.from(new Float32Array(data.bytes.slice().buffer))
      : Uint16Array.from({ length: count }, () => 0x3c00);
  return { kind: 'inline', dtype, shape: data.shape, bytes: new Uint8Array(bytes.buffer) };
}
