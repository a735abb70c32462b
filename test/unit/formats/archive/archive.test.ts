import fc from 'fast-check';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { dequantizeLearned, learnedBits } from '../../../../src/engine/formats/archive/dequantizeLearned';
import type { LearnedTensor } from '../../../../src/engine/formats/archive/learnedTensor';
import { SeededRandom } from '../../../../src/common/random';
import { packPlanes, planeBytes, unpackPlanes } from '../../../../src/engine/formats/archive/bitPlanes';
import { openArchive } from '../../../../src/engine/formats/archive/openArchive';
import type { GroupedTensor } from '../../../../src/engine/formats/archive/tensorKinds';
import { ArchiveWriter, type WrittenArchive } from '../../../../src/engine/formats/archive/writer';
import { decodeToFloat32 } from '../../../../src/engine/formats/decode';
import { openContainer } from '../../../../src/engine/models/openContainer';
import { LoomweightError } from '../../../../src/protocol/errors';
import { propertySeed } from '../../../support/propertySeed';
import { randomLearned } from '../../../support/randomLearned';
import { temporaryFolder } from '../../../support/fixtures';

const folder = temporaryFolder();
let files = 0;

async function written(fill: (writer: ArchiveWriter) => Promise<unknown>): Promise<{ readonly file: string } & WrittenArchive> {
  const file = path.join(folder, `${(files += 1)}.loomq`);
  const writer = await ArchiveWriter.create(file, { made: 'test' });
  await fill(writer);
  return { file, ...(await writer.finish()) };
}

describe('bit planes', () => {
  /** A width of 1 to 15 bits and levels that fit it. */
  const levelsOfWidth = fc
    .integer({ min: 1, max: 15 })
    .chain((bits) => fc.record({ bits: fc.constant(bits), list: fc.array(fc.nat(2 ** bits - 1), { maxLength: 203, size: 'max' }) }));

  test('plane k holds bit k, and reading is the inverse of writing', () => {
    fc.assert(
      fc.property(levelsOfWidth, ({ bits, list }) => {
        const levels = Uint16Array.from(list);
        const count = levels.length;
        const packed = new Uint8Array(planeBytes(count, bits) + 3);
        expect(packPlanes(levels, count, bits, packed, 3)).toBe(packed.length);
        expect((packed.length - 3) * 8 - count * bits).toBeLessThan(8);
        const whole = Math.floor(count / 8);
        for (let index = 0; index < whole * 8; index += 1)
          for (let bit = 0; bit < bits; bit += 1)
            if ((((packed[3 + bit * whole + (index >> 3)] as number) >> (index & 7)) & 1) !== (((levels[index] as number) >> bit) & 1))
              expect.fail(`bit ${bit} of level ${index} is not where it belongs`);
        const back = new Uint16Array(count).fill(9);
        expect(unpackPlanes(packed, 3, count, bits, back)).toBe(packed.length);
        expect(back).toEqual(levels);
      }),
      { seed: propertySeed, numRuns: 200 },
    );
  });

  test('the highest planes alone give the levels without their lower bits', () => {
    fc.assert(
      fc.property(levelsOfWidth, fc.nat(15), ({ bits, list }, most) => {
        const [levels, planes] = [Uint16Array.from(list), Math.min(bits, most)];
        const packed = new Uint8Array(planeBytes(levels.length, bits));
        packPlanes(levels, levels.length, bits, packed, 0);
        const coarse = new Uint16Array(levels.length);
        unpackPlanes(packed, 0, levels.length, bits, coarse, planes);
        expect(coarse).toEqual(levels.map((level) => (level >> (bits - planes)) << (bits - planes)));
      }),
      { seed: propertySeed, numRuns: 200 },
    );
  });
});

describe('learned tensors', () => {
  /** Tensors of random shape, group size, widths and levels, all of one archive. */
  const archivesOfTensors = fc
    .array(
      fc.record({
        shape: fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 30 })),
        groupSize: fc.constantFrom(0, 1, 4, 8, 16, 1000),
        widths: fc.array(fc.nat(15), { minLength: 1, maxLength: 6 }),
        transposed: fc.boolean(),
        seed: fc.nat(2 ** 31),
      }),
      { minLength: 1, maxLength: 8 },
    )
    .map((list) => list.map(({ seed, ...options }, index) => randomLearned(new SeededRandom(seed), { name: `t${index}`, ...options })));

  /** Writes the tensors to an archive, reads each back, and compares the size of the file with the formula. */
  async function expectExactInverse(tensors: readonly LearnedTensor[]): Promise<void> {
    const archive = await written(async (writer) => {
      for (const tensor of tensors) await writer.addLearned(tensor);
    });
    const container = await openArchive(archive.file);
    let formula = 0;
    let classes = 0;
    for (const tensor of tensors) {
      expect(await container.readLearned(tensor.name)).toEqual(tensor);
      const entry = container.tensors.get(tensor.name)!;
      const values = decodeToFloat32('float32', await container.read(tensor.name));
      const expected = dequantizeLearned(tensor);
      if (tensor.transposed) {
        const [rows, columns] = tensor.shape as readonly [number, number];
        expect(entry.shape).toEqual([columns, rows]);
        expect(values).toEqual(expected.map((_, index) => expected[(index % rows) * columns + Math.floor(index / rows)] as number));
      } else expect(values).toEqual(expected);
      formula += learnedBits(tensor) / 8;
      classes += Math.max(1, new Set(tensor.bits).size);
    }
    await container.close();
    expect(statSync(archive.file).size).toBe(archive.bytes);
    expect(archive.bytes).toBeGreaterThanOrEqual(archive.headerBytes + formula);
    expect(archive.bytes - archive.headerBytes - formula).toBeLessThanOrEqual(8 * (tensors.length + classes));
  }

  test('reading is the inverse of writing, and the size is the published formula', async () => {
    await fc.assert(fc.asyncProperty(archivesOfTensors, expectExactInverse), { seed: propertySeed, numRuns: 20 });
  });

  test('the same with every width at once, without values, with one value and with everything pruned', async () => {
    const random = new SeededRandom(20_261_121);
    const tensors: LearnedTensor[] = [];
    tensors.push(
      randomLearned(random, { name: 'all', shape: [64, 64], groupSize: 8, widths: Array.from({ length: 16 }, (_, bits) => bits) }),
    );
    tensors.push(randomLearned(random, { name: 'empty', shape: [0, 8], groupSize: 8, widths: [3] }));
    tensors.push({
      ...randomLearned(random, { name: 'constant', shape: [3, 5], groupSize: 4, widths: [2] }),
      minimum: 0.5,
      maximum: 0.5,
      levels: new Uint16Array(15),
    });
    tensors.push(randomLearned(random, { name: 'pruned', shape: [8, 8], groupSize: 8, widths: [0] }));
    await expectExactInverse(tensors);
  });

  test('a tensor whose parts do not match is refused by name', async () => {
    const tensor = randomLearned(new SeededRandom(1), { name: 'fc.weight', shape: [4, 8], groupSize: 8, widths: [2, 3] });
    const writer = await ArchiveWriter.create(path.join(folder, 'refused.loomq'));
    const refused = async (changes: Partial<LearnedTensor>, words: RegExp) => {
      await expect(writer.addLearned({ ...tensor, ...changes })).rejects.toThrow(words);
      await expect(writer.addLearned({ ...tensor, ...changes })).rejects.toThrow(/fc\.weight/);
    };
    await refused({ levels: tensor.levels.slice(1) }, /needs 32 levels, got 31/);
    await refused({ bits: tensor.bits.slice(1) }, /need 4 widths, got 3/);
    await refused({ bitsOfWidth: 0, bits: Uint8Array.of(2, 3, 3, 3) }, /do not fit a table of 0 bits/);
    await refused({ maximum: NaN }, /finite/);
    await refused({ levels: tensor.levels.map(() => 9) }, /does not fit/);
    await refused({ bits: Uint8Array.of(16, 16, 16, 16), bitsOfWidth: 0 }, /0 to 15/);
    await writer.abort();
  });
});

describe('matrices with scales', () => {
  test.each([
    ['group', false, undefined],
    ['group', true, undefined],
    ['row', false, undefined],
    ['tensor', true, undefined],
    ['tensor', false, undefined],
    ['group', false, [0, 2, 3, 8]],
    ['group', true, [1, 4, 0]],
  ] as const)('%s, symmetric %s, widths %j: exact inverse', async (granularity, symmetric, mixed) => {
    const random = new SeededRandom(7);
    const [rows, columns] = [9, 37];
    const groupSize = granularity === 'group' ? 16 : columns;
    const groups = rows * Math.ceil(columns / groupSize);
    const bits = mixed ? Math.max(...mixed) : 5;
    const groupBits = mixed && Uint8Array.from({ length: groups }, () => mixed[random.nextBelow(mixed.length)] as number);
    const widthOf = (group: number) => groupBits?.[group] ?? bits;
    const groupOf = (index: number) =>
      Math.floor(index / columns) * Math.ceil(columns / groupSize) + Math.floor((index % columns) / groupSize);
    const once = Math.fround(random.next());
    const tensor: GroupedTensor = {
      name: 'w',
      shape: [rows, columns],
      transposed: false,
      bits,
      groupSize,
      granularity,
      symmetric,
      scaleDType: 'float32',
      codes: Uint8Array.from({ length: rows * columns }, (_, index) => random.nextBelow(2 ** widthOf(groupOf(index)))),
      scales: Float32Array.from({ length: groups }, (_, group) =>
        widthOf(group) === 0 ? 0 : granularity === 'tensor' ? once : random.next(),
      ),
      zeroPoints: Uint8Array.from({ length: groups }, (_, group) =>
        widthOf(group) === 0
          ? 0
          : symmetric
            ? 2 ** (widthOf(group) - 1)
            : granularity === 'tensor'
              ? 3
              : random.nextBelow(2 ** widthOf(group)),
      ),
      ...(groupBits ? { groupBits } : {}),
    };
    const { file } = await written((writer) => writer.addGrouped(tensor));
    const container = await openArchive(file);
    expect(await container.readGrouped('w')).toEqual(tensor);
    const values = decodeToFloat32('float32', await container.read('w'));
    expect(values).toEqual(
      Float32Array.from(
        tensor.codes,
        (code, index) => (code - (tensor.zeroPoints[groupOf(index)] as number)) * (tensor.scales[groupOf(index)] as number),
      ),
    );
    await container.close();
  });
});

describe('damaged archives', () => {
  const sound = written(async (writer) => {
    const random = new SeededRandom(3);
    await writer.addLearned(randomLearned(random, { name: 'a', shape: [8, 20], groupSize: 8, widths: [2, 5, 9] }));
    await writer.addPlain('b', 'float16', [5], new Uint8Array(10));
    await writer.addLearned(randomLearned(random, { name: 'c', shape: [6, 6], groupSize: 0, widths: [4] }));
  });

  /** Reads everything of an archive whose table was changed. */
  async function failureOf(change: (table: { tensors: Record<string, unknown>[] }) => void): Promise<LoomweightError> {
    const bytes = readFileSync((await sound).file);
    const offset = Number(bytes.readBigUInt64LE(16));
    const table = JSON.parse(bytes.toString('utf8', offset)) as { tensors: Record<string, unknown>[] };
    change(table);
    const text = Buffer.from(JSON.stringify(table));
    const head = Buffer.from(bytes.subarray(0, offset));
    head.writeBigUInt64LE(BigInt(text.length), 24);
    return readFailure(Buffer.concat([head, text]));
  }

  async function readFailure(bytes: Uint8Array): Promise<LoomweightError> {
    const file = path.join(folder, 'damaged.loomq');
    writeFileSync(file, bytes);
    try {
      const container = await openContainer(file);
      try {
        for (const name of container.tensors.keys()) await container.read(name);
      } finally {
        await container.close();
      }
    } catch (error) {
      if (error instanceof LoomweightError) return error;
      throw error;
    }
    throw new Error('expected an error');
  }

  test.each([
    ['an offset outside', /"a".*outside the archive/, 'offset-outside', (tensor: Record<string, unknown>) => (tensor['data'] = [1e9, 10])],
    ['an overlap', /"b" overlaps that of "a"/, 'overlapping-offsets', (tensor: Record<string, unknown>) => (tensor['data'] = [36, 125])],
    [
      'a huge count',
      /cannot encode|whole numbers|ascending/,
      'invalid-table',
      (tensor: Record<string, unknown>) => (tensor['shape'] = [2 ** 50, 4]),
    ],
    [
      'a wrong length',
      /"a".*need/,
      'invalid-data',
      (tensor: Record<string, unknown>) => (tensor['data'] = [32, (tensor['data'] as number[])[1]! - 1]),
    ],
    ['wrong counts', /ascending widths/, 'invalid-table', (tensor: Record<string, unknown>) => (tensor['groups'] = [[2, 1]])],
    ['an unknown kind', /learned, grouped or plain/, 'invalid-table', (tensor: Record<string, unknown>) => (tensor['kind'] = 'magic')],
  ])('%s is reported with tensor and offset', async (_, words, diagnostic, change) => {
    const error = await failureOf(({ tensors }) => change(tensors[0]!));
    expect(error.code).toBe('malformed-file');
    expect(error.message).toMatch(words);
    expect(error.details).toMatchObject({ diagnostic, offset: expect.any(Number) as number });
  });

  test('a file cut short, another magic word, another version', async () => {
    const bytes = readFileSync((await sound).file);
    for (const length of [0, 7, 31, 32, bytes.length - 1])
      expect((await readFailure(bytes.subarray(0, length))).code).toBe('malformed-file');
    const other = Buffer.from(bytes);
    other.writeUInt32LE(2, 8);
    expect(await readFailure(other)).toMatchObject({ code: 'unsupported', details: { diagnostic: 'unknown-version' } });
  });

  test('a table of widths that differs from the counts in the header', async () => {
    const bytes = Buffer.from(readFileSync((await sound).file));
    bytes[32 + 9] = (bytes[32 + 9] as number) ^ 1;
    const error = await readFailure(bytes);
    expect(error.code).toBe('malformed-file');
    expect(error.message).toMatch(/"a".*(header counts|table holds)/);
  });
});
