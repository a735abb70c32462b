import fc from 'fast-check';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../../../src/common/random';
import { embeddingRows } from '../../../../src/engine/outputs/storage/embeddingRows';
import { dequantizeLinear } from '../../../../src/engine/outputs/storage/dequantizeLinear';
import { matMulNBits } from '../../../../src/engine/outputs/storage/matMulNBits';
import type { MatrixForm } from '../../../../src/engine/outputs/storage/matrixForm';
import { packPlane, planesOf, unpackPlane } from '../../../../src/engine/kernels/host/packBits';
import { selfUnpacking } from '../../../../src/engine/outputs/storage/selfUnpacking';
import { groupingOf } from '../../../../src/engine/compress/quantizers/parameters';
import type { QuantizedMatrix } from '../../../../src/engine/outputs/planned/plannedTensor';
import { roundGroups } from '../../../../src/engine/compress/quantizers/rounding/roundGroups';
import { encodeModel } from '../../../../src/engine/formats/onnx/encodeModel';
import { GraphBuilder } from '../../../../src/engine/graph/builder';
import { operators } from '../../../../src/engine/ops';
import { propertySeed } from '../../../support/propertySeed';
import { runModel } from '../../../support/runGraph';
import { plainOrt } from '../../../support/ort';

function sample(rows: number, columns: number, bits: number, groupSize: number | string, symmetric: boolean): QuantizedMatrix {
  const random = new SeededRandom(bits * 100 + rows);
  const weights = Float32Array.from({ length: rows * columns }, () => random.nextNormal());
  const grouping = groupingOf(rows, columns, { groupSize });
  return roundGroups('w', weights, rows, columns, { ...grouping, bits, symmetric, scaleDType: 'float16' });
}

function dense(matrix: QuantizedMatrix): Float32Array {
  const groups = Math.ceil(matrix.columns / matrix.groupSize);
  return Float32Array.from(matrix.codes, (code, index) => {
    const group = Math.floor(index / matrix.columns) * groups + Math.floor((index % matrix.columns) / matrix.groupSize);
    return (code - matrix.zeroPoints[group]!) * matrix.scales[group]!;
  });
}

function product(x: Float32Array, weight: Float32Array, rows: number, columns: number): number[] {
  return Array.from({ length: (x.length / columns) * rows }, (_, index) => {
    const [sampleIndex, row] = [Math.floor(index / rows), index % rows];
    let sum = 0;
    for (let column = 0; column < columns; column += 1) sum += x[sampleIndex * columns + column]! * weight[row * columns + column]!;
    return sum;
  });
}

const forms: Record<string, MatrixForm> = {
  matMulNBits,
  dequantizeLinear,
  selfUnpacking: selfUnpacking(),
  embeddingRows,
  split: selfUnpacking(4 * 96 * 10),
};

const cases = Object.keys(forms).flatMap((form) =>
  [1, 2, 3, 4, 5, 6, 7, 8].flatMap((bits) =>
    [false, true].flatMap((symmetric) => ([32, 'row', 'tensor', 7] as const).map((groupSize) => ({ form, bits, symmetric, groupSize }))),
  ),
);

describe.each(['disabled', 'all'] as const)('optimisation %s', (level) => {
  test.each(cases)('$form, $bits bits, symmetric $symmetric, group $groupSize', async ({ form: name, bits, symmetric, groupSize }) => {
    const form = forms[name]!;
    const [rows, columns] = [groupSize === 'row' ? 28 : 27, 86];
    const matrix = sample(rows, columns, bits, groupSize, symmetric);
    if (form.refuse(matrix) !== undefined) {
      expect(name).toBe('matMulNBits');
      expect([2, 4, 8].includes(bits) && groupSize !== 7).toBe(false);
      return;
    }
    const pieces = form.encode(matrix);
    const back = form.decode(pieces, matrix);
    expect(back.codes).toEqual(matrix.codes);
    expect(back.scales).toEqual(matrix.scales);
    expect(back.zeroPoints).toEqual(matrix.zeroPoints);

    const build = new GraphBuilder(operators, 'form', form.opset(matrix));
    const stored = Object.fromEntries(
      Object.entries(pieces).map(([piece, data]) => [piece, build.constant({ kind: 'inline', ...data }, `w.${piece}`)]),
    );
    const input = build.input('x', { dtype: 'float32', shape: ['n', columns] });
    build.output(form.linear(build, stored, matrix, input), 'y');
    const random = new SeededRandom(5);
    const x = Float32Array.from({ length: 5 * columns }, () => random.nextNormal());
    const { y } = await runModel(
      encodeModel(build.finish()),
      { x: new plainOrt.Tensor('float32', x, [5, columns]) },
      { graphOptimizationLevel: level, extra: { session: { qdq_matmulnbits_accuracy_level: '1' } } },
    );
    // 2 and 8 bits of MatMulNBits round activations to int8: 5e-3 relative (outputs here are of the order of 10).
    const tolerance = name === 'matMulNBits' && bits !== 4 ? 0.15 : 2e-5;
    if (form.gather && groupSize !== 'tensor') {
      const gathering = new GraphBuilder(operators, 'rows', 21);
      const again = Object.fromEntries(
        Object.entries(pieces).map(([piece, data]) => [piece, gathering.constant({ kind: 'inline', ...data }, `w.${piece}`)]),
      );
      gathering.output(form.gather(gathering, again, matrix, gathering.input('ids', { dtype: 'int64', shape: ['b', 's'] })), 'rows');
      const ids = new plainOrt.Tensor('int64', BigInt64Array.from([3n, 0n, 26n, 3n]), [2, 2]);
      const taken = await runModel(encodeModel(gathering.finish()), { ids }, { graphOptimizationLevel: level });
      const all = dense(matrix);
      expect([...(taken['rows']!.data as Float32Array)]).toEqual(
        [3, 0, 26, 3].flatMap((row) => [...all.subarray(row * columns, row * columns + columns)]),
      );
    }
    product(x, dense(matrix), rows, columns).forEach((expected, index) =>
      expect(Math.abs((y!.data as Float32Array)[index]! - expected)).toBeLessThan(tolerance * (1 + Math.abs(expected))),
    );
  });
});

test.each([1, 2, 3, 4, 5, 6, 7, 8])('packing %d bits is exact for codes of any number and value', (bits) => {
  fc.assert(
    fc.property(fc.uint8Array({ max: 2 ** bits - 1, maxLength: 255, size: 'max' }), (codes) => {
      const back = new Uint8Array(codes.length);
      for (const plane of planesOf(bits)) unpackPlane(packPlane(codes, plane), plane, back);
      expect(back).toEqual(codes);
    }),
    { seed: propertySeed, numRuns: 50 },
  );
});

const goldens = fileURLToPath(new URL('../../../golden/peers', import.meta.url));
interface Tensor {
  readonly shape: number[];
  readonly data: number[];
}

describe('goldens of ONNX Runtime’s own MatMulNBits', () => {
  test.each(readdirSync(goldens).filter((name) => name.startsWith('ort_matmulnbits__')))('%s', (file) => {
    const golden = JSON.parse(readFileSync(join(goldens, file), 'utf8')) as {
      params: { bits: number; block_size: number; symmetric: boolean };
      outputs: { packed: Tensor; scales: Tensor; zero_points?: Tensor; levels: Tensor; zero_levels: Tensor };
    };
    const { bits, block_size: groupSize, symmetric } = golden.params;
    const [rows, columns] = golden.outputs.levels.shape as [number, number];
    const matrix: QuantizedMatrix = {
      kind: 'grouped',
      rows,
      columns,
      bits,
      groupSize,
      granularity: 'group',
      symmetric,
      codes: Uint8Array.from(golden.outputs.levels.data),
      scales: Float32Array.from(golden.outputs.scales.data),
      scaleDType: 'float32',
      zeroPoints: Uint8Array.from(golden.outputs.zero_levels.data),
    };
    const pieces = matMulNBits.encode(matrix);
    expect(pieces['codes']!.shape).toEqual(golden.outputs.packed.shape);
    // The reference fills the last block with the zero level, we with 0; neither is read. Compare what is.
    const theirs = matMulNBits.decode(
      {
        codes: { dtype: 'uint8', shape: golden.outputs.packed.shape, bytes: Uint8Array.from(golden.outputs.packed.data) },
        scales: pieces['scales']!,
        ...(golden.outputs.zero_points && {
          zeros: { dtype: 'uint8', shape: golden.outputs.zero_points.shape, bytes: Uint8Array.from(golden.outputs.zero_points.data) },
        }),
      },
      matrix,
    );
    expect(theirs.codes).toEqual(matrix.codes);
    if (columns % groupSize === 0) expect([...pieces['codes']!.bytes]).toEqual(golden.outputs.packed.data);
    if (!symmetric) {
      expect(theirs.zeroPoints).toEqual(matrix.zeroPoints);
      // Unused places of a last byte are theirs to fill; every read one must agree.
      const ours = matMulNBits.decode(pieces, matrix);
      expect(ours.zeroPoints).toEqual(theirs.zeroPoints);
    }
  });
});
