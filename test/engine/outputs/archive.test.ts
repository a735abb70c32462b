import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect } from 'vitest';
import { compressModel } from '../../../src/engine/compress/compressModel';
import { storeMixedMatrix } from '../../../src/engine/outputs/storage/mixedMatrix';
import { dequantize } from '../../../src/engine/outputs/planned/dequantize';
import { rtn } from '../../../src/engine/compress/quantizers/rtn';
import { fingerprintOf } from '../../../src/engine/outputs/planned/fingerprint';
import { matrixSize } from '../../../src/engine/outputs/planned/plannedSizes';
import type { MatrixLayout, QuantizedMatrix } from '../../../src/engine/outputs/planned/plannedTensor';
import { decodeToFloat32 } from '../../../src/engine/formats/decode';
import { openContainer } from '../../../src/engine/models/openContainer';
import { GraphBuilder } from '../../../src/engine/graph/builder';
import { operators } from '../../../src/engine/ops/index';
import { SeededRandom } from '../../../src/common/random';
import type { CompressReport } from '../../../src/protocol/report';
import type { CompressSpec } from '../../../src/protocol/jobs';
import { test as base } from '../../support/fixtures';
import { workContext } from '../../support/workContext';

const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));
type Compress = (model: string, format: CompressSpec['format'], more?: Partial<CompressSpec>) => Promise<CompressReport>;

const test = base.extend<{ readonly compress: Compress }>({
  compress: async ({ folder, runtime }, use) => {
    await use((model, format, more = {}) => {
      const spec: CompressSpec = { kind: 'compress', model, method: 'rtn', parameters: {}, format, out: join(folder, format), ...more };
      return compressModel(spec, workContext(runtime));
    });
  },
});

/** All values of a model by name, as float32. */
async function valuesOf(model: string): Promise<Map<string, Float32Array>> {
  const container = await openContainer(model, { asHuggingFace: true });
  const values = new Map<string, Float32Array>();
  for (const [name, { dtype }] of container.tensors)
    if (/float/.test(dtype)) values.set(name, decodeToFloat32(dtype, await container.read(name)));
  await container.close();
  return values;
}

describe('compress --format archive', () => {
  test.for([
    ['models/tiny-llama', { bits: 3, groupSize: 16 }],
    ['models/tiny-llama-linear', { bits: 4, groupSize: 'row', symmetric: true }],
    ['models/tiny-qwen2', { bits: 5, groupSize: 'tensor', scales: 'float32' }],
    ['../../media/samples/digits/digits-mlp.onnx', { bits: 4, groupSize: 32 }],
    ['onnx/digits-a.onnx', { bits: 2, groupSize: 8 }],
  ] as const)('%s with %j is complete and as small as planned', async ([model, parameters], { folder, compress }) => {
    const report = await compress(fixture(model), 'archive', { parameters, embeddings: false });
    expect(report.verification).toMatchObject({ passed: true, scope: 'whole' });
    const archive = statSync(join(folder, 'archive', 'model.loomq')).size;
    expect(report.outputs.find(({ path }) => path === 'model.loomq')?.bytes).toBe(archive);
    if (model.startsWith('models')) {
      // Bit planes: the planned bits, and less than a byte for each of codes, scales and zero points.
      for (const { name, shape, bytesAfter } of report.layers) {
        const layout = rtn.layoutOf({ name, role: 'linear', shape: shape as [number, number] }, parameters) as MatrixLayout;
        const { codeBits, scaleBits, zeroPointBits } = matrixSize(layout);
        expect(bytesAfter * 8).toBeGreaterThanOrEqual(codeBits + scaleBits + zeroPointBits);
        expect(bytesAfter * 8).toBeLessThan(codeBits + scaleBits + zeroPointBits + 24);
      }
      // The archive represents the same weights as the self-unpacking file.
      const dense = await compress(fixture(model), 'hf', { parameters });
      expect(report.layers.map(({ relativeError }) => relativeError)).toEqual(dense.layers.map(({ relativeError }) => relativeError));
      const [packed, float] = [await valuesOf(join(folder, 'archive')), await valuesOf(join(folder, 'hf'))];
      for (const [name, values] of packed) {
        const other = float.get(name) as Float32Array;
        const scale = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        expect(values.every((value, index) => Math.abs(value - (other[index] as number)) <= scale / 128)).toBe(true);
      }
    }
    expect(JSON.parse(readFileSync(join(folder, 'archive', 'report.json'), 'utf8'))).toMatchObject({ format: 'archive' });
  });

  test('an archive can be compressed again', async ({ folder, compress }) => {
    await compress(fixture('models/tiny-llama'), 'archive', { parameters: { bits: 8 } });
    const again = await compress(join(folder, 'archive'), 'onnx-packed', { parameters: { bits: 8 } });
    expect(again.verification.passed).toBe(true);
    expect(again.layers.every(({ relativeError }) => relativeError < 0.01)).toBe(true);
  });
});

/** A matrix with random widths, codes, scales and zero points. */
function randomMixed(
  rows: number,
  columns: number,
  groupSize: number,
  widths: readonly number[],
  symmetric: boolean,
): QuantizedMatrix & { groupBits: Uint8Array } {
  const random = new SeededRandom(rows * columns);
  const perRow = Math.ceil(columns / groupSize);
  const groupBits = Uint8Array.from({ length: rows * perRow }, () => widths[random.nextBelow(widths.length)] as number);
  const of = (index: number) => groupBits[Math.floor(index / columns) * perRow + Math.floor((index % columns) / groupSize)] as number;
  return {
    kind: 'grouped',
    rows,
    columns,
    bits: Math.max(1, ...widths),
    groupSize,
    granularity: 'group',
    symmetric,
    codes: Uint8Array.from({ length: rows * columns }, (_, index) => random.nextBelow(2 ** of(index))),
    scales: Float32Array.from(groupBits, (bits) => (bits === 0 ? 0 : random.next() + 0.1)),
    scaleDType: 'float32',
    zeroPoints: Uint8Array.from(groupBits, (bits) => (bits === 0 ? 0 : symmetric ? 2 ** (bits - 1) : random.nextBelow(2 ** bits))),
    groupBits,
  };
}

describe('matrices with widths of their groups in ONNX', () => {
  test.for([
    [7, 24, 8, [2, 3, 4], false, undefined],
    [5, 19, 8, [0, 1, 5, 8], false, undefined],
    [9, 16, 4, [0, 2, 4], true, undefined],
    [40, 32, 16, [1, 2, 3, 4, 5, 6, 7, 8], true, 4 * 32 * 13],
    [12, 10, 10, [0], false, undefined],
    [6, 40, 8, [6], false, undefined],
  ] as const)(
    '%d x %d in groups of %d, widths %j, symmetric %s',
    async ([rows, columns, groupSize, widths, symmetric, limit], { runtime }) => {
      const matrix = randomMixed(rows, columns, groupSize, widths, symmetric);
      const { pieces, stored } = storeMixedMatrix(matrix, limit);
      const expected = dequantize(matrix);
      const decoded = stored.decode(pieces);
      expect(decoded.fingerprint).toBe(fingerprintOf(matrix));
      expect(decoded.weights()).toEqual(expected);

      const build = new GraphBuilder(operators, 'test');
      const values = Object.fromEntries(
        Object.entries(pieces).map(([name, piece]) => [name, build.constant({ kind: 'inline', ...piece }, name)]),
      );
      const x = build.input('x', { dtype: 'float32', shape: [columns, columns] });
      const ids = build.input('ids', { dtype: 'int64', shape: [1, rows] });
      build.output(stored.linear(build, values, x), 'product');
      build.output(stored.gather!(build, values, ids), 'rows');
      for (const optimization of ['disabled', 'all'] as const) {
        const session = await runtime.createFromGraph(build.finish(), { optimization });
        const identity = new Float32Array(columns * columns);
        for (let index = 0; index < columns; index += 1) identity[index * columns + index] = 1;
        const results = await session.run({
          x: { dtype: 'float32', shape: [columns, columns], data: identity },
          ids: { dtype: 'int64', shape: [1, rows], data: BigInt64Array.from({ length: rows }, (_, index) => BigInt(index)) },
        });
        // Rows by number are the weights bit for bit; products with the identity are their transpose.
        expect(results['rows']!.data).toEqual(expected);
        const product = results['product']!.data as Float32Array;
        expect(product.every((value, index) => value === expected[(index % rows) * columns + Math.floor(index / rows)])).toBe(true);
        await session.release();
      }
    },
  );
});
