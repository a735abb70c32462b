import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { SeededRandom } from '../../../src/common/random';
import { LoomweightError } from '../../../src/protocol/errors';
import { decodeToFloat32, isDecodable } from '../../../src/engine/formats/decode';
import { damaged, damages } from '../../support/damage';
import { propertySeed } from '../../support/propertySeed';
import { encodeNpy } from '../../support/encodeNpy';
import { ArchiveWriter } from '../../../src/engine/formats/archive/writer';
import { openContainer } from '../../../src/engine/models/openContainer';
import { randomLearned } from '../../support/randomLearned';
import { temporaryFolder } from '../../support/fixtures';
import { readTestJson, writeInto } from '../../support/formatFiles';

const folder = temporaryFolder();
const seeds: readonly (readonly [extension: string, seed: Buffer])[] = [
  ['safetensors', Buffer.from(readTestJson<{ file: string }>('golden/formats/safetensors.json').file, 'base64')],
  ['gguf', Buffer.from(readTestJson<{ file: string }>('golden/formats/gguf.json').file, 'base64')],
  ['npy', Buffer.from(encodeNpy('float32', [3, 4], new Uint8Array(48)))],
];
const archive = path.join(folder, 'seed.loomq');
const rounds = 400;

beforeAll(async () => {
  const random = new SeededRandom(4);
  const writer = await ArchiveWriter.create(archive, { made: 'test' });
  await writer.addLearned(randomLearned(random, { name: 'learned', shape: [6, 20], groupSize: 8, widths: [2, 3, 7, 12] }));
  await writer.addGrouped({
    name: 'grouped',
    shape: [4, 8],
    transposed: true,
    bits: 3,
    groupSize: 8,
    granularity: 'group',
    symmetric: false,
    scaleDType: 'float16',
    codes: Uint8Array.from({ length: 32 }, () => random.nextBelow(8)),
    scales: Float32Array.of(1, 2, 3, 4),
    zeroPoints: Uint8Array.of(1, 2, 3, 4),
  });
  await writer.addPlain('plain', 'float16', [5], new Uint8Array(10));
  await writer.finish();
});

/** Reads every tensor of a file. Returns whether the file was refused; any error but one that blames the file fails the test. */
async function refuses(file: string): Promise<boolean> {
  try {
    const container = await openContainer(file);
    try {
      for (const { name, dtype, bytes } of container.tensors.values()) {
        const data = await container.read(name);
        expect(data).toHaveLength(bytes);
        if (isDecodable(dtype)) decodeToFloat32(dtype, data);
      }
    } finally {
      await container.close();
    }
    return false;
  } catch (error) {
    if (error instanceof LoomweightError && ['malformed-file', 'unsupported'].includes(error.code)) return true;
    throw error;
  }
}

for (const [extension, given] of [...seeds, ['loomq', undefined] as const]) {
  test(`each of ${rounds} damaged ${extension} files is refused with a LoomweightError or can be read`, async () => {
    const seed = given ?? readFileSync(archive);
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(damages(seed.length), async (changes) => {
        const file = writeInto(folder, `fuzz.${extension}`, damaged(seed, changes));
        const before = process.memoryUsage().arrayBuffers;
        const start = performance.now();
        if (await refuses(file)) refused += 1;
        // Far above any honest run: a file of some kilobytes must not ask for much memory or time.
        expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64e6);
        expect(performance.now() - start).toBeLessThan(20_000);
      }),
      { seed: propertySeed, numRuns: rounds },
    );
    expect(refused).toBeGreaterThan(rounds / 4);
  });
}
