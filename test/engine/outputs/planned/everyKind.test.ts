import { readdirSync } from 'node:fs';
import { describe, expect } from 'vitest';
import type { LayerLayout } from '../../../../src/protocol/report';
import { encodeModel } from '../../../../src/engine/formats/onnx/encodeModel';
import { GraphBuilder } from '../../../../src/engine/graph/builder';
import { operators } from '../../../../src/engine/ops/index';
import { dequantizePlanned, relativeErrorOf } from '../../../../src/engine/outputs/planned/dequantize';
import { fingerprintOf } from '../../../../src/engine/outputs/planned/fingerprint';
import { PlannedStore } from '../../../../src/engine/outputs/planned/plannedStore';
import { layoutOf, type PlannedTensor, type SparseTensor } from '../../../../src/engine/outputs/planned/plannedTensor';
import { openStored } from '../../../../src/engine/outputs/storage/openStored';
import { storeSparse } from '../../../../src/engine/outputs/storage/sparseMatrix';
import type { EncodedTensor } from '../../../../src/engine/outputs/storage/storedTensor';
import { onnxPacked } from '../../../../src/engine/outputs/writers/onnxPacked';
import { outputWriters } from '../../../../src/engine/outputs/writers';
import { storeMatrix } from '../../../../src/engine/outputs/storage/storedTensor';
import { selfUnpacking } from '../../../../src/engine/outputs/storage/selfUnpacking';
import { everyKind, randomMatrix, randomSparse, valuesByDefinition } from '../../../support/plannedSamples';
import { test } from '../../../support/fixtures';
import { feedTensor, runModel } from '../../../support/runGraph';

const layer = { name: 'w', role: 'linear', storedShape: [12, 20], transposed: false } as const;

describe.each(Object.entries(everyKind(12, 20)))('%s', (kind, tensor) => {
  test('has the values of its definition', () => {
    expect(dequantizePlanned(tensor)).toEqual(valuesByDefinition(tensor));
    expect(relativeErrorOf(tensor, valuesByDefinition(tensor))).toBe(0);
  });

  test.for([Infinity, 0])('comes back from a store with %d bytes of memory', async (limit, { folder }) => {
    const store = new PlannedStore(folder, limit);
    const { spilled } = await store.add(layer, tensor, 0.25);
    expect(spilled).toBe(limit === 0);
    expect(readdirSync(folder).length).toBe(limit === 0 ? 1 : 0);
    expect(fingerprintOf(await store.get('w'))).toBe(fingerprintOf(tensor));
    expect(await store.values('w')).toEqual(valuesByDefinition(tensor));
    expect(store.entry('w')).toMatchObject({ relativeError: 0.25, layout: layoutOf(tensor) });
    expect(store.isCompressed('w')).toBe(kind !== 'plain');
    await store.dispose();
    expect(readdirSync(folder)).toEqual([]);
  });

  test('every format stores it or tells why not', () => {
    for (const writer of outputWriters) {
      const store = { ...layer, layout: layoutOf(tensor), size: { codeBits: 1, scaleBits: 0, zeroPointBits: 0 } };
      const reason = writer.refuses(store);
      if (kind === 'plain' || writer.id === 'hf' || (kind === 'codes' && writer.id !== 'onnx-fast'))
        expect(reason, writer.id).toBeUndefined();
      if (reason !== undefined) expect(reason, writer.id).toMatch(/onnx-packed|archive|hf|codes with scales/);
    }
    expect(
      onnxPacked.refuses({ ...layer, layout: layoutOf(tensor), size: { codeBits: 1, scaleBits: 0, zeroPointBits: 0 } }),
    ).toBeUndefined();
  });
});

/** Reads a stored tensor back by its report alone, and through the runtime. */
async function expectStored({ pieces, stored }: EncodedTensor, tensor: PlannedTensor): Promise<void> {
  const expected = valuesByDefinition(tensor);
  const { form, rows, columns, details } = stored;
  const report = JSON.parse(JSON.stringify({ form, rows, columns, details })) as LayerLayout;
  const decoded = openStored('w', report).decode(pieces);
  expect(decoded.fingerprint).toBe(fingerprintOf(tensor));
  expect(decoded.weights()).toEqual(expected);
  for (const level of ['disabled', 'all'] as const) {
    const build = new GraphBuilder(operators, 'test', stored.opset);
    const values = Object.fromEntries(
      Object.entries(pieces).map(([name, piece]) => [name, build.constant({ kind: 'inline', ...piece }, name)]),
    );
    const x = build.input('x', { dtype: 'float32', shape: ['rows', columns] });
    build.output(stored.linear(build, values, x), 'y');
    // An identity as input gives the transposed weight itself.
    const identity = Float32Array.from({ length: columns * columns }, (_, index) => (index % (columns + 1) === 0 ? 1 : 0));
    const feeds = { x: feedTensor('float32', [columns, columns], [...identity]) };
    const results = await runModel(encodeModel(build.finish()), feeds, { graphOptimizationLevel: level });
    const y = results['y']!.data as ArrayLike<number>;
    const turned = Float32Array.from(expected, (_, index) => y[(index % columns) * rows + Math.floor(index / columns)]!);
    expect(turned).toEqual(expected);
  }
}

describe('self-unpacking forms', () => {
  test.each([
    ['float zero points', randomMatrix(9, 24, { float: true, bits: 3 })],
    ['float zero points, short last group', randomMatrix(6, 21, { float: true })],
    ['sorted columns', randomMatrix(10, 24, { sorted: true, bits: 5 })],
    ['sorted columns, short last group, float zero points', randomMatrix(7, 19, { sorted: true, float: true, bits: 2 })],
    ['sorted rows', randomMatrix(7, 16, { sorted: true, groupSize: 16, symmetric: true })],
  ])('%s', async (_, matrix) => expectStored(storeMatrix(selfUnpacking(), matrix), matrix));

  test.each([
    ['floats', randomSparse(12, 20), undefined],
    ['floats in parts', randomSparse(40, 12), 4 * 12 * 11],
    ['nothing kept', randomSparse(5, 8, undefined, 0), undefined],
    ['everything kept', randomSparse(5, 8, undefined, 1), undefined],
    ['codes', randomSparse(12, 20, randomMatrix(12, 20, { bits: 3 })), undefined],
    ['symmetric codes in parts', randomSparse(40, 12, randomMatrix(40, 12, { bits: 4, symmetric: true })), 4 * 12 * 11],
    ['codes with float zero points, short last group', randomSparse(6, 21, randomMatrix(6, 21, { float: true, bits: 2 })), undefined],
    ['no code kept', randomSparse(6, 16, randomMatrix(6, 16), 0), undefined],
  ] as readonly (readonly [string, SparseTensor, number | undefined])[])('sparse: %s', async (_, tensor, limit) => {
    const encoded = storeSparse(tensor, limit);
    expect(Object.keys(encoded.pieces).some((name) => name.startsWith('part1.'))).toBe(limit !== undefined);
    await expectStored(encoded, tensor);
  });
});

describe('a layout in a report is untrusted input', () => {
  const sound = {
    form: 'packed',
    rows: 4,
    columns: 8,
    details: { bits: 4, groupSize: 8, granularity: 'row', symmetric: false, scaleDType: 'float16' },
  };

  test.each([
    ['an unknown form', { form: 'folded' }, 'unsupported'],
    ['a form named as a property of every object', { form: 'constructor' }, 'unsupported'],
    ['rows that are no number', { rows: 'many' }, 'malformed-file'],
    ['more weights than can be', { rows: 2 ** 30, columns: 2 ** 30 }, 'malformed-file'],
    ['bits out of range', { details: { ...sound.details, bits: 40 } }, 'malformed-file'],
    ['a group size of 0', { details: { ...sound.details, groupSize: 0 } }, 'malformed-file'],
    ['a mixed form without parts', { form: 'packed-mixed' }, 'malformed-file'],
    [
      'parts that leave rows out',
      { form: 'packed-mixed', details: { ...sound.details, parts: [{ from: 0, to: 2, classes: [] }] } },
      'malformed-file',
    ],
    [
      'parts with a class of 99 bits',
      { form: 'packed-mixed', details: { ...sound.details, parts: [{ from: 0, to: 4, classes: [{ bits: 99, groups: 1 }] }] } },
      'malformed-file',
    ],
  ])('%s', (_, change, code) => {
    expect(() => openStored('w', { ...sound, ...change } as LayerLayout)).toThrowError(expect.objectContaining({ code }) as Error);
  });

  test('a valid one is accepted', () => {
    expect(openStored('w', sound as LayerLayout).rows).toBe(4);
  });
});
