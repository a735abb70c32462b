import fc from 'fast-check';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { SeededRandom } from '../../../../src/common/random';
import { encodeModel } from '../../../../src/engine/formats/onnx/encodeModel';
import { openOnnx } from '../../../../src/engine/formats/onnx/openOnnx';
import { GraphBuilder } from '../../../../src/engine/graph/builder';
import { operators } from '../../../../src/engine/ops';
import type { PlannedTensor, QuantizedMatrix } from '../../../../src/engine/outputs/planned/plannedTensor';
import { readableOutput } from '../../../../src/engine/outputs/readableOutput';
import { dequantizeLinear } from '../../../../src/engine/outputs/storage/dequantizeLinear';
import { embeddingRows } from '../../../../src/engine/outputs/storage/embeddingRows';
import { storeDequantized } from '../../../../src/engine/outputs/storage/learnedDequantize';
import { storeLearned } from '../../../../src/engine/outputs/storage/learnedPacked';
import { matMulNBits } from '../../../../src/engine/outputs/storage/matMulNBits';
import type { MatrixForm } from '../../../../src/engine/outputs/storage/matrixForm';
import { storeMixedMatrix } from '../../../../src/engine/outputs/storage/mixedMatrix';
import { selfUnpacking } from '../../../../src/engine/outputs/storage/selfUnpacking';
import { storeSparse } from '../../../../src/engine/outputs/storage/sparseMatrix';
import { storeMatrix, type EncodedTensor } from '../../../../src/engine/outputs/storage/storedTensor';
import { test } from '../../../support/fixtures';
import { randomMatrix, randomSparse, valuesByDefinition } from '../../../support/plannedSamples';
import { propertySeed } from '../../../support/propertySeed';
import { randomLearned } from '../../../support/randomLearned';

interface Sample {
  readonly tensor: PlannedTensor;
  readonly encoded: EncodedTensor;
  readonly rowsOnly: boolean;
}

type MatrixOptions = NonNullable<Parameters<typeof randomMatrix>[2]>;

function matrix(form: MatrixForm, rows: number, columns: number, options: MatrixOptions, changes: Partial<QuantizedMatrix> = {}): Sample {
  const tensor = { ...randomMatrix(rows, columns, options), ...changes };
  return { tensor, encoded: storeMatrix(form, tensor), rowsOnly: form === embeddingRows };
}

function single(rows: number, columns: number): Partial<QuantizedMatrix> {
  return {
    granularity: 'tensor',
    scales: new Float32Array(rows).fill(0.125),
    zeroPoints: new Uint8Array(rows).fill(3),
    groupSize: columns,
  };
}

function mixed(rows: number, columns: number, groupSize: number, symmetric: boolean): Sample {
  const base = randomMatrix(rows, columns, { groupSize, bits: 4, symmetric });
  const random = new SeededRandom(rows);
  const perRow = Math.ceil(columns / groupSize);
  const groupBits = Uint8Array.from({ length: rows * perRow }, () => [0, 2, 4][random.nextBelow(3)]!);
  const inGroup = (values: Uint8Array) =>
    values.map((value, index) => value % 2 ** groupBits[Math.floor(index / columns) * perRow + Math.floor((index % columns) / groupSize)]!);
  const tensor = {
    ...base,
    groupBits,
    codes: inGroup(base.codes),
    scales: base.scales.map((scale, group) => (groupBits[group] === 0 ? 0 : scale)),
    zeroPoints: base.zeroPoints.map((zero, group) => {
      const bits = groupBits[group]!;
      return bits === 0 ? 0 : symmetric ? 2 ** (bits - 1) : zero % 2 ** bits;
    }),
  };
  return { tensor, encoded: storeMixedMatrix(tensor), rowsOnly: false };
}

function learned(rows: number, columns: number, groupSize: number, widths: readonly number[], limit?: number): Sample {
  const tensor = randomLearned(new SeededRandom(rows + columns), { name: 'w', shape: [rows, columns], groupSize, widths });
  return { tensor: { kind: 'learned', tensor }, encoded: storeLearned(tensor, limit), rowsOnly: false };
}

function sparse(quantized?: QuantizedMatrix, limit?: number): Sample {
  const tensor = randomSparse(12, 20, quantized);
  return { tensor, encoded: storeSparse(tensor, limit), rowsOnly: false };
}

const oneWidth = randomLearned(new SeededRandom(4), { name: 'w', shape: [12, 20], groupSize: 8, widths: [6] });
const packed = selfUnpacking();

const samples: Readonly<Record<string, Sample>> = {
  'dequantize-linear, groups': matrix(dequantizeLinear, 12, 128, { groupSize: 32 }),
  'dequantize-linear, short last group': matrix(dequantizeLinear, 9, 20, { bits: 6 }),
  'dequantize-linear, symmetric in a wider type': matrix(dequantizeLinear, 12, 64, { bits: 3, symmetric: true, groupSize: 16 }),
  'dequantize-linear, rows': matrix(dequantizeLinear, 12, 32, { groupSize: 32, bits: 2 }),
  'dequantize-linear, one scale': matrix(dequantizeLinear, 12, 32, {}, single(12, 32)),
  'matmul-nbits, groups': matrix(matMulNBits, 12, 128, { groupSize: 32 }),
  'matmul-nbits, long groups': matrix(matMulNBits, 6, 300, { groupSize: 128 }),
  'matmul-nbits, symmetric bytes': matrix(matMulNBits, 12, 72, { groupSize: 16, bits: 8, symmetric: true }),
  'matmul-nbits, rows': matrix(matMulNBits, 6, 300, { groupSize: 300, bits: 2 }),
  'embedding-rows, symmetric in a wider container': matrix(embeddingRows, 12, 64, { bits: 3, symmetric: true, groupSize: 16 }),
  'embedding-rows, groups of odd length': matrix(embeddingRows, 12, 20, { bits: 5, groupSize: 7 }),
  'packed, groups': matrix(packed, 12, 128, { groupSize: 32 }),
  'packed, few codes': matrix(packed, 1, 20, { bits: 1 }),
  'packed, symmetric, short last group': matrix(packed, 3, 20, { bits: 3, symmetric: true }),
  'packed, zero points between the levels': matrix(packed, 12, 20, { bits: 5, float: true }),
  'packed, sorted columns': matrix(packed, 12, 24, { bits: 2, sorted: true }),
  'packed, one scale, in parts': matrix(selfUnpacking(), 12, 32, { bits: 7 }, single(12, 32)),
  'packed-mixed': mixed(12, 64, 16, false),
  'packed-mixed, symmetric, short last group': mixed(12, 20, 8, true),
  'learned-packed': learned(12, 20, 8, [0, 2, 5]),
  'learned-packed, short last group': learned(7, 9, 8, [1, 3, 11]),
  'learned-packed, parts': learned(50, 6, 16, [2, 3, 7], 700),
  'learned-packed, one width': learned(12, 20, 8, [6]),
  'learned-dequantize': { tensor: { kind: 'learned', tensor: oneWidth }, encoded: storeDequantized(oneWidth), rowsOnly: false },
  'packed-sparse, floats': sparse(),
  'packed-sparse, floats in parts': sparse(undefined, 4 * 20 * 5),
  'packed-sparse, codes': sparse(randomMatrix(12, 20, { bits: 3 })),
  'packed-sparse, symmetric codes': sparse(randomMatrix(12, 20, { bits: 8, groupSize: 6, symmetric: true })),
};

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A file with one layer, and what `compare` reads of it under a given layout: values, or the code of the refusal. */
class OneLayer {
  private readonly file: string;
  readonly layout: Json;

  constructor(
    private readonly folder: string,
    { encoded: { pieces, stored }, rowsOnly }: Sample,
  ) {
    this.file = join(folder, 'model.onnx');
    const build = new GraphBuilder(operators, 'one layer', stored.opset);
    const values = Object.fromEntries(
      Object.entries(pieces).map(([name, piece]) => [name, build.constant({ kind: 'inline', ...piece }, `w.${name}`)]),
    );
    const { rows, columns, form, details } = stored;
    const y = rowsOnly
      ? stored.gather!(build, values, build.input('ids', { dtype: 'int64', shape: ['batch', 'sequence'] }))
      : stored.linear(build, values, build.input('x', { dtype: 'float32', shape: ['rows', columns] }));
    build.output(y, 'y');
    writeFileSync(this.file, encodeModel(build.finish()));
    const names = Object.fromEntries(Object.keys(pieces).map((name) => [name, `w.${name}`]));
    this.layout = JSON.parse(JSON.stringify({ form, rows, columns, pieces: names, details })) as Json;
  }

  async read(layout: Json): Promise<Float32Array | string> {
    const { rows, columns } = this.layout as { readonly rows: number; readonly columns: number };
    const report = { primary: 'model.onnx', layers: [{ name: 'w', shape: [rows, columns], layout }] };
    writeFileSync(join(this.folder, 'report.json'), JSON.stringify(report));
    const container = await openOnnx(this.file);
    try {
      const view = await readableOutput(container, container);
      if (!view.container.tensors.has('w')) return 'left out';
      const bytes = await view.container.read('w');
      return new Float32Array(bytes.slice().buffer);
    } catch (error) {
      return (error as { readonly code?: string }).code ?? `no refusal: ${String(error)}`;
    } finally {
      await container.close();
    }
  }
}

/** Paths to all values of a layout but names of pieces. */
function pathsOf(value: Json, path: readonly string[] = []): readonly (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  return [
    path,
    ...Object.entries(value).flatMap(([key, inner]) => (key === 'pieces' ? [] : pathsOf(inner as Json, [...path, key]))),
  ].filter((each) => each.length > 0);
}

function edited(value: Json, path: readonly string[], change: (old: Json | undefined) => Json | undefined): Json {
  const [key, ...rest] = path as [string, ...string[]];
  const copy = (Array.isArray(value) ? [...(value as Json[])] : { ...(value as object) }) as Record<string, Json | undefined>;
  copy[key] = rest.length === 0 ? change(copy[key]) : edited(copy[key] as Json, rest, change);
  return copy as Json;
}

const words = [
  'group',
  'row',
  'tensor',
  'float16',
  'float32',
  'bfloat16',
  'unstructured',
  '2:4',
  'packed',
  'packed-mixed',
  'matmul-nbits',
  'dequantize-linear',
  'embedding-rows',
];

/** Another value in the place of one: numbers near it and its multiples, other words, flags turned, lists turned round, things left out. */
function otherValue(old: Json | undefined, pick: number): Json | undefined {
  if (typeof old === 'number')
    return [old + 1, old - 1, old * 2, Math.floor(old / 2), old + 2 + (pick % 7), pick % 40, 2 ** (pick % 9)][pick % 7];
  if (typeof old === 'boolean') return !old;
  if (typeof old === 'string') return words[pick % words.length];
  if (Array.isArray(old)) return pick % 2 === 0 ? ([...old].reverse() as Json) : (old.slice(1) as Json);
  return pick % 3 === 0 ? undefined : old;
}

describe.each(Object.entries(samples))('%s', (_, sample) => {
  const expected = valuesByDefinition(sample.tensor);
  const same = (values: Float32Array) => values.length === expected.length && values.every((value, index) => value === expected[index]);

  test('is read as it is', async ({ folder }) => {
    const layer = new OneLayer(folder, sample);
    const values = await layer.read(layer.layout);
    expect(typeof values === 'string' ? values : same(values)).toBe(true);
  });

  test('edits of its layout leave its values as they are, or are refused', async ({ folder }) => {
    const layer = new OneLayer(folder, sample);
    const paths = pathsOf(layer.layout);
    const flags = ['symmetric', 'zeroPointsAreFloat', 'widthsByGroup', 'columnsAreSorted'].map((flag) => ['details', flag]);
    const edit = fc.record({ path: fc.constantFrom(...paths, ...flags), pick: fc.nat(10_000) });
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
        let layout = layer.layout;
        for (const { path, pick } of edits)
          try {
            layout = edited(layout, path, (old) => (path.at(-1) === undefined ? old : old === undefined ? true : otherValue(old, pick)));
          } catch {
            // An earlier edit has removed what this one would change.
          }
        const values = await layer.read(layout);
        if (typeof values === 'string') expect(['malformed-file', 'unsupported', 'left out']).toContain(values);
        else expect(same(values), JSON.stringify(layout)).toBe(true);
      }),
      { seed: propertySeed, numRuns: 100 },
    );
  });
});

test.for([
  ['matmul-nbits, groups', 'groupSize', 64],
  ['matmul-nbits, groups', 'groupSize', 16],
  ['matmul-nbits, groups', 'bits', 8],
  ['matmul-nbits, groups', 'bits', 2],
  ['matmul-nbits, long groups', 'groupSize', 300],
  ['dequantize-linear, groups', 'groupSize', 64],
  ['dequantize-linear, groups', 'groupSize', 16],
  ['dequantize-linear, groups', 'groupSize', 33],
  ['dequantize-linear, groups', 'bits', 8],
  ['dequantize-linear, groups', 'granularity', 'tensor'],
  ['packed, groups', 'groupSize', 16],
  ['embedding-rows, symmetric in a wider container', 'bits', 4],
  ['packed-sparse, codes', 'quantized', { ...randomMatrix(12, 20, { bits: 3 }), codes: 0, scales: 0, zeroPoints: 0, groupSize: 9 }],
] as const)('%s: another %s, %j, is refused', async ([name, key, value], { folder }) => {
  const layer = new OneLayer(folder, samples[name]!);
  expect(await layer.read(edited(layer.layout, ['details', key], () => value as Json))).toBe('malformed-file');
});

test('the number of kept weights is that of the mask', async ({ folder }) => {
  const layer = new OneLayer(folder, samples['packed-sparse, floats']!);
  const kept = (layer.layout as { readonly details: { readonly kept: number } }).details.kept;
  expect(await layer.read(edited(layer.layout, ['details', 'parts', '0', 'kept'], () => kept - 3))).toBe('malformed-file');
});
