import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { resolveParams } from '../../../../src/common/params';
import { SeededRandom } from '../../../../src/common/random';
import { describeMethods, findQuantizer, quantizers } from '../../../../src/engine/compress/quantizers';
import { matrixSize } from '../../../../src/engine/outputs/planned/plannedSizes';
import { correlatedInputs, planWithInputs, statisticsOfInputs } from '../../../support/planWithInputs';
import { dequantizePlanned } from '../../../../src/engine/outputs/planned/dequantize';
import { layoutOf, type MatrixLayout, type QuantizedMatrix } from '../../../../src/engine/outputs/planned/plannedTensor';

const goldens = fileURLToPath(new URL('../../../golden/peers', import.meta.url));

interface GoldenTensor {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

function plan(weights: Float32Array, rows: number, columns: number, given: Record<string, unknown>, method = 'rtn'): QuantizedMatrix {
  const quantizer = findQuantizer(method);
  const { values, problems } = resolveParams(quantizer.parameters, given);
  expect(problems).toEqual([]);
  return quantizer.plan!({ tensor: { name: 'w', role: 'linear', shape: [rows, columns] }, weights }, values);
}

function dequantized(matrix: QuantizedMatrix): Float32Array {
  const groups = Math.ceil(matrix.columns / matrix.groupSize);
  return Float32Array.from(matrix.codes, (code, index) => {
    const group = Math.floor(index / matrix.columns) * groups + Math.floor((index % matrix.columns) / matrix.groupSize);
    return (code - matrix.zeroPoints[group]!) * matrix.scales[group]!;
  });
}

function normals(count: number, seed: number): Float32Array {
  const random = new SeededRandom(seed);
  return Float32Array.from({ length: count }, () => random.nextNormal() * 0.05);
}

describe('goldens of the GPTQ authors’ quantiser', () => {
  for (const file of readdirSync(goldens).filter((name) => name.startsWith('rtn__'))) {
    test(file, () => {
      const golden = JSON.parse(readFileSync(join(goldens, file), 'utf8')) as {
        params: { bits: number; sym: boolean; group_size: number };
        inputs: { w: GoldenTensor };
        outputs: { quantized: GoldenTensor; scale: GoldenTensor; zero: GoldenTensor };
        tolerance: { abs: number; rel: number };
      };
      const [rows, columns] = golden.inputs.w.shape as [number, number];
      const { bits, sym, group_size: group } = golden.params;
      const matrix = plan(Float32Array.from(golden.inputs.w.data), rows, columns, {
        bits,
        symmetric: sym,
        groupSize: group < 0 ? 'row' : group,
        scales: 'float32',
      });
      expect([...matrix.zeroPoints]).toEqual(golden.outputs.zero.data);
      const close = (got: ArrayLike<number>, want: readonly number[]) => {
        expect(got.length).toBe(want.length);
        want.forEach((value, index) =>
          expect(Math.abs(got[index]! - value)).toBeLessThanOrEqual(golden.tolerance.abs + golden.tolerance.rel * Math.abs(value)),
        );
      };
      close(matrix.scales, golden.outputs.scale.data);
      close(dequantized(matrix), golden.outputs.quantized.data);
    });
  }
});

describe('properties', () => {
  const cases = [1, 2, 3, 4, 5, 6, 7, 8].flatMap((bits) =>
    [false, true].flatMap((symmetric) => [7, 32, 'row', 'tensor'].map((groupSize) => ({ bits, symmetric, groupSize }))),
  );
  test.each(cases)('error is at most half a step: $bits bits, symmetric $symmetric, group $groupSize', (parameters) => {
    const weights = normals(24 * 86, parameters.bits);
    const matrix = plan(weights, 24, 86, parameters);
    const back = dequantized(matrix);
    const groups = Math.ceil(86 / matrix.groupSize);
    weights.forEach((weight, index) => {
      const group = Math.floor(index / 86) * groups + Math.floor((index % 86) / matrix.groupSize);
      expect(Math.abs(back[index]! - weight)).toBeLessThanOrEqual(matrix.scales[group]! * (0.5 + 1e-6));
      expect(matrix.codes[index]).toBeLessThan(2 ** parameters.bits);
    });
  });

  test('a second pass changes nothing if both ends of a group are used', () => {
    for (const bits of [2, 3, 4, 5, 6, 8]) {
      const first = plan(normals(64 * 96, 3), 64, 96, { bits });
      const second = plan(dequantized(first), 64, 96, { bits });
      let full = 0;
      for (let group = 0; group < 64 * 3; group += 1) {
        const codes = first.codes.subarray(group * 32, group * 32 + 32);
        if (Math.min(...codes) !== 0 || Math.max(...codes) !== 2 ** bits - 1) continue;
        full += 1;
        expect(second.scales[group]).toBe(first.scales[group]);
        expect([...second.codes.subarray(group * 32, group * 32 + 32)]).toEqual([...codes]);
      }
      expect(full).toBeGreaterThan(150);
    }
  });

  test('zero groups are exact, constant rows stay within half a step and keep their sign', () => {
    const weights = new Float32Array(3 * 32).fill(0.3, 32, 64).fill(-2.5, 64);
    const back = dequantized(plan(weights, 3, 32, { bits: 4 }));
    expect([...back.subarray(0, 32)]).toEqual(Array(32).fill(0));
    expect(Math.abs(back[40]! - 0.3)).toBeLessThan(0.3 / 1024);
    expect(Math.abs(back[70]! + 2.5)).toBeLessThan(2.5 / 1024);
  });

  test('ties go to the even level', () => {
    // Scale is exactly 1 at 4 bits: range [0, 15].
    const matrix = plan(Float32Array.from([0, 15, 0.5, 1.5, 2.5, 3.5]), 1, 6, { bits: 4, groupSize: 'row' });
    expect([...matrix.codes]).toEqual([0, 15, 0, 2, 2, 4]);
  });

  test.each([NaN, Infinity, -Infinity])('%d is refused, naming tensor and position', (bad) => {
    const weights = normals(4 * 40, 1);
    weights[2 * 40 + 35] = bad;
    expect(() => plan(weights, 4, 40, {})).toThrow(/Tensor 'w' contains .* at row 2, column 35/);
  });

  test('scales beyond float16 are refused; tiny ones are not lost', () => {
    expect(() => plan(Float32Array.from([0, 3e6]), 1, 2, { bits: 4 })).toThrow(/float16 scales go up to 65504/);
    const tiny = plan(Float32Array.from([0, 1e-12]), 1, 2, { bits: 4 });
    expect(tiny.scaleDType).toBe('float32');
    expect(tiny.scales[0]! / Math.fround(1e-12 / 15)).toBeCloseTo(1, 6);
    // A step of 2^-18 is the least that float16 stores with seven bits.
    expect(plan(Float32Array.from([0, 15 * 2 ** -18]), 1, 2, { bits: 4 }).scaleDType).toBe('float16');
    expect(plan(Float32Array.from([0, 15 * 2 ** -18 * 0.95]), 1, 2, { bits: 4 }).scaleDType).toBe('float32');
  });
});

describe('contract of every method', () => {
  test.each(quantizers.map((each) => [each.id, each] as const))('%s', async (id, quantizer) => {
    const { values } = resolveParams(quantizer.parameters, {});
    const tensor = { name: 'w', role: 'linear', shape: [16, 80] } as const;
    expect(quantizer.source.url).toMatch(/^https:\/\//);
    expect(describeMethods().map((each) => each.id)).toContain(id);
    expect(quantizer.appliesTo({ name: 'n', role: 'norm', shape: [1, 4] })).not.toBe(true);
    if (quantizer.mayLeaveAll) return expect(quantizer.appliesTo(tensor)).toMatch(/^this method/);
    const weights = normals(16 * 80, 9);
    const kept = weights.slice();
    const statistics = statisticsOfInputs(correlatedInputs(120, 80, 3), 80);
    const planned = () => planWithInputs(quantizer, { rows: 16, weights, parameters: values }, statistics);
    const [first, second] = [await planned(), await planned()];
    if (quantizer.plan && quantizer.needs.length === 0) expect(first).toEqual(quantizer.plan({ tensor, weights }, values));
    expect(second).toEqual(first);
    expect(weights).toEqual(kept);
    expect(layoutOf(first)).toEqual(quantizer.layoutOf(tensor, values));
    if (first.kind === 'grouped') {
      const size = matrixSize(quantizer.layoutOf(tensor, values) as MatrixLayout);
      expect(size.codeBits).toBe(first.codes.length * first.bits);
      expect(size.scaleBits).toBe(first.scales.length * 16);
      expect(size.zeroPointBits).toBe(first.symmetric ? 0 : first.zeroPoints.length * first.bits);
    } else {
      const back = dequantizePlanned(first);
      expect(back.filter((value) => value === 0).length).toBeGreaterThanOrEqual(weights.length / 2);
      expect(back.every(Number.isFinite)).toBe(true);
    }
    expect(readdirSync(goldens).some((name) => name.startsWith(`${id}__`))).toBe(true);
    for (const spec of quantizer.parameters)
      if (spec.kind === 'integer')
        expect(resolveParams(quantizer.parameters, { [spec.key]: spec.max + 1 }).problems.join()).toContain(
          `from ${spec.min} to ${spec.max}`,
        );
    expect(quantizer.appliesTo({ name: 'n', role: 'norm', shape: [1, 4] })).toMatch(/norms and biases are not compressed/);
  });

  test('an unknown method is refused, listing the known ones', () => {
    expect(() => findQuantizer('nonsense')).toThrow(/Methods: .*rtn/);
  });
});
