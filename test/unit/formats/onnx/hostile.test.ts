import fc from 'fast-check';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { LoomweightError } from '../../../../src/protocol/errors';
import { editModel } from '../../../../src/engine/formats/onnx/editModel';
import { openOnnx } from '../../../../src/engine/formats/onnx/openOnnx';
import { readGraph } from '../../../../src/engine/formats/onnx/readGraph';
import { damaged, damages } from '../../../support/damage';
import { propertySeed } from '../../../support/propertySeed';
import { onnxFixtures } from '../../../support/onnxFixtures';
import { field, initializerBytes, modelBytes, numeric, varint } from '../../../support/protobuf';
import { temporaryFolder } from '../../../support/fixtures';

const folder = temporaryFolder();

const zeros = (count: number) => new Uint8Array(count);
const repeated = (part: Buffer, count: number) => Buffer.concat(Array.from({ length: count }, () => part));

/** A graph within a node within a graph, and so on. */
function nestedGraphs(depth: number): Buffer {
  let graph: Buffer = Buffer.alloc(0);
  for (let level = 0; level < depth; level += 1)
    graph = field(1, Buffer.concat([field(4, 'If'), field(5, Buffer.concat([field(1, 'then_branch'), field(6, graph)]))]));
  return modelBytes(graph);
}

/** A type of sequences of sequences. */
function nestedType(depth: number): Buffer {
  let type: Buffer = Buffer.alloc(0);
  for (let level = 0; level < depth; level += 1) type = field(4, field(1, type));
  return modelBytes(field(11, Buffer.concat([field(1, 'x'), field(2, type)])));
}

/** Files that cannot be read at all: the expected place of the damage in bytes, where it is one place. */
const broken: readonly (readonly [string, () => Buffer, number | undefined])[] = [
  ['an empty file', () => Buffer.alloc(0), 0],
  ['a text', () => Buffer.from('{"format": "not onnx"}'), undefined],
  ['a model without a graph', () => Buffer.concat([numeric(1, 10), field(8, numeric(2, 21))]), 0],
  ['a length beyond the end', () => field(7, zeros(4), 100), 0],
  ['a length of 2^63', () => field(7, zeros(4), 2n ** 63n), 0],
  ['an initialiser longer than its graph', () => modelBytes(field(5, zeros(3), 200)), 8],
  ['a number that never ends', () => Buffer.concat([varint(8), Buffer.alloc(12, 0xff)]), 1],
  ['a file that ends in a number', () => Buffer.from([8, 0x80]), 1],
  ['a field with number 0', () => Buffer.from([0, 0]), 0],
  ['a group', () => Buffer.from([0x3b, 0x3c]), 0],
  ['a graph that is a number', () => numeric(7, 1), 0],
  ['bodies 1,000 deep', () => nestedGraphs(1000), undefined],
  ['a type 100,000 deep', () => nestedType(20_000), undefined],
  [
    'a tensor of 1,000 axes',
    () =>
      modelBytes(
        initializerBytes(
          'w',
          Array.from({ length: 1000 }, () => 1),
          zeros(4),
        ),
      ),
    undefined,
  ],
];

/** Files that are read, with one tensor that is not; the rest stays usable. */
const diagnosed: readonly (readonly [string, string, () => Buffer])[] = [
  ['negative dimension', 'negative-dimension', () => initializerBytes('bad', [-3], zeros(4))],
  ['lengths whose product overflows', 'overflowing-shape', () => initializerBytes('bad', [2n ** 40n, 2n ** 40n], zeros(4))],
  ['a huge length beside a zero', 'overflowing-shape', () => initializerBytes('bad', [2n ** 62n, 0], zeros(0))],
  ['too little data', 'wrong-size', () => initializerBytes('bad', [3], zeros(8))],
  ['too much data', 'wrong-size', () => initializerBytes('bad', [3], zeros(16))],
  ['no data', 'wrong-size', () => initializerBytes('bad', [3], zeros(0))],
  ['an element type of the future', 'unknown-element-type', () => initializerBytes('bad', [3], zeros(12), 99)],
  ['no element type', 'unknown-element-type', () => initializerBytes('bad', [3], zeros(12), 0)],
  ['a name used twice', 'duplicate-name', () => initializerBytes('good', [1], zeros(4))],
  ['a name that is no UTF-8', 'invalid-utf8', () => initializerBytes(Buffer.from([0x62, 0xff, 0xfe]), [1], zeros(4))],
  ['a name of a megabyte', 'long-text', () => initializerBytes('n'.repeat(1 << 20), [1], zeros(4))],
  [
    'external data without a place',
    'external-path',
    () => field(5, Buffer.concat([numeric(1, 1), numeric(2, 1), field(8, 'bad'), numeric(14, 1)])),
  ],
  [
    'an offset that is no number',
    'external-range',
    () =>
      field(
        5,
        Buffer.concat([
          numeric(1, 1),
          numeric(2, 1),
          field(8, 'bad'),
          numeric(14, 1),
          field(13, Buffer.concat([field(1, 'location'), field(2, 'data')])),
          field(13, Buffer.concat([field(1, 'offset'), field(2, '-8')])),
        ]),
      ),
  ],
];

describe('broken files', () => {
  test.each(broken)('%s is refused with its offset', async (title, make, offset) => {
    const path = join(folder, `${title.replaceAll(/\W/g, '-')}.onnx`);
    await writeFile(path, make());
    for (const open of [() => openOnnx(path), () => readGraph(path), () => editModel(path)]) {
      const error: unknown = await open().then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(LoomweightError.is(error, 'malformed-file'), String(error)).toBe(true);
      if (!LoomweightError.is(error)) return;
      expect(typeof error.details?.['offset'] === 'number' || error.details?.['path'] === path).toBe(true);
      if (offset !== undefined) expect(error.details?.['offset']).toBe(offset);
    }
  });

  test.each(diagnosed)('%s is a diagnostic (%s)', async (title, code, make) => {
    const path = join(folder, `${title.replaceAll(/\W/g, '-')}.onnx`);
    await writeFile(path, modelBytes(make(), initializerBytes('good', [2], new Uint8Array(Float32Array.of(1, 2).buffer))));
    const container = await openOnnx(path);
    expect(container.diagnostics.map((diagnostic) => diagnostic.code)).toContain(code);
    expect(container.diagnostics.every((diagnostic) => diagnostic.file === path && typeof diagnostic.offset === 'number')).toBe(true);
    expect(container.tensors.size).toBe(2);
    const good = container.tensors.get(code === 'duplicate-name' ? 'good#2' : 'good');
    expect(new Float32Array((await container.read(good?.name ?? '')).slice().buffer)).toEqual(Float32Array.of(1, 2));
    await container.close();
  });

  test('100,000 initialisers of one name, with as many problems, take little memory and time', async () => {
    const path = join(folder, 'many.onnx');
    await writeFile(
      path,
      modelBytes(repeated(initializerBytes('same', [1], zeros(4)), 50_000), repeated(initializerBytes('bad', [2], zeros(4)), 50_000)),
    );
    const container = await openOnnx(path);
    expect(container.tensors.size).toBe(100_000);
    expect(container.diagnostics.length).toBeLessThan(500);
    await container.close();
    await expect(readGraph(path)).rejects.toMatchObject({ code: 'malformed-file' });
  });

  test('50,000 nodes of the same name do not slow down reading', async () => {
    const path = join(folder, 'nodes.onnx');
    const node = (index: number) => field(1, Buffer.concat([field(2, `v${index}`), field(3, 'same'), field(4, 'RandomNormal')]));
    await writeFile(path, modelBytes(Buffer.concat(Array.from({ length: 50_000 }, (_, index) => node(index)))));
    const graph = await readGraph(path);
    expect(new Set(graph.nodes.map((item) => item.name)).size).toBe(50_000);
  });

  test('a missing file and a folder', async () => {
    await expect(openOnnx(join(folder, 'nothing.onnx'))).rejects.toMatchObject({ code: 'not-found' });
    await expect(openOnnx(folder)).rejects.toMatchObject({ code: 'invalid-argument' });
  });
});

describe('random damage', () => {
  /** Opens, reads everything, reads as a graph and rewrites; every failure must be one of ours. Tells whether it opened. */
  async function survives(path: string): Promise<'read' | 'refused'> {
    let outcome: 'read' | 'refused' = 'refused';
    const attempt = async (action: () => Promise<unknown>) => {
      try {
        await action();
      } catch (error) {
        if (!(error instanceof LoomweightError) || error.code === 'internal') throw error;
      }
    };
    await attempt(async () => {
      const container = await openOnnx(path);
      outcome = 'read';
      try {
        for (const name of container.tensors.keys()) await attempt(() => container.read(name));
      } finally {
        await container.close();
      }
    });
    await attempt(() => readGraph(path));
    await attempt(async () => {
      const editor = await editModel(path);
      try {
        await editor.write(`${path}.out`);
      } finally {
        await editor.close();
      }
    });
    return outcome;
  }

  test.each(['storages', 'nested', 'external'])('%s with flipped, removed and repeated bytes never crashes', async (name) => {
    const source = await readFile(join(onnxFixtures, `${name}.onnx`));
    await writeFile(join(folder, 'external.onnx_data'), await readFile(join(onnxFixtures, 'external.onnx_data')));
    const path = join(folder, `mutant-${name}.onnx`);
    const outcomes = { read: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(damages(source.length, source.length), async (changes) => {
        await writeFile(path, damaged(source, changes));
        outcomes[await survives(path)] += 1;
      }),
      { seed: propertySeed, numRuns: 250 },
    );
    // Both kinds must occur, or the mutations test nothing.
    expect(outcomes.read).toBeGreaterThan(5);
    expect(outcomes.refused).toBeGreaterThan(50);
  });
});
