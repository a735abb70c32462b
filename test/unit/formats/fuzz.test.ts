import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { SeededRandom } from '../../../src/common/random';
import { LoomweightError } from '../../../src/protocol/errors';
import { decodeToFloat32, isDecodable } from '../../../src/engine/formats/decode';
import { encodeNpy } from '../../support/encodeNpy';
import { ArchiveWriter } from '../../../src/engine/formats/archive/writer';
import { openContainer } from '../../../src/engine/models/openContainer';
import { randomLearned } from '../../support/randomLearned';
import { readTestJson, temporaryFolder, writeInto } from '../../support/formatFiles';

const folder = temporaryFolder();
const seeds: readonly (readonly [extension: string, seed: Buffer])[] = [
  ['safetensors', Buffer.from(readTestJson<{ file: string }>('golden/formats/safetensors.json').file, 'base64')],
  ['gguf', Buffer.from(readTestJson<{ file: string }>('golden/formats/gguf.json').file, 'base64')],
  ['npy', Buffer.from(encodeNpy('float32', [3, 4], new Uint8Array(48)))],
];
const archive = path.join(folder, 'seed.loomq');
const rounds = 400;

/** One damaged copy: bits flipped, a piece cut, repeated or zeroed, a number replaced by an extreme one, digits swapped. */
function mutate(seed: Buffer, random: SeededRandom): Buffer {
  let bytes = Buffer.from(seed);
  // Headers are where lies matter; most damage goes there.
  const place = () => random.nextBelow(random.next() < 0.8 ? Math.min(bytes.length, 1200) : bytes.length);
  for (let times = 1 + random.nextBelow(3); times > 0 && bytes.length > 0; times -= 1) {
    const at = place();
    switch (random.nextBelow(7)) {
      case 0:
        bytes[at] = (bytes[at] as number) ^ (1 << random.nextBelow(8));
        break;
      case 1:
        bytes = bytes.subarray(0, at);
        break;
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.nextBelow(40))]);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.max(0, at - random.nextBelow(200)))]);
        break;
      case 4:
        if (at + 8 <= bytes.length)
          bytes.writeBigUInt64LE([0n, 1n, 2n ** 31n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n][random.nextBelow(6)] as bigint, at);
        break;
      case 5:
        bytes.fill(random.nextBelow(256), at, Math.min(bytes.length, at + random.nextBelow(16)));
        break;
      default: {
        const digit = bytes.findIndex((byte, i) => i >= at && byte >= 0x30 && byte <= 0x39);
        if (digit >= 0) bytes[digit] = 0x30 + random.nextBelow(10);
      }
    }
  }
  return bytes;
}

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

for (const [extension, given] of [...seeds, ['loomq', undefined] as const]) {
  test(`${rounds} damaged ${extension} files end in an error of ours or in a model that can be read`, async () => {
    const seed = given ?? readFileSync(archive);
    const random = new SeededRandom(20_260_101);
    let failed = 0;
    for (let round = 0; round < rounds; round += 1) {
      const file = writeInto(folder, `fuzz.${extension}`, mutate(seed, random));
      const before = process.memoryUsage().arrayBuffers;
      const start = performance.now();
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
      } catch (error) {
        if (!(error instanceof LoomweightError) || !['malformed-file', 'unsupported'].includes(error.code))
          throw new Error(`round ${round}: ${String(error)}`, { cause: error });
        failed += 1;
      }
      // Bounds of a different order than any honest run: a file of some kilobytes must not ask for memory or time.
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64e6);
      expect(performance.now() - start).toBeLessThan(20_000);
    }
    expect(failed).toBeGreaterThan(rounds / 4);
  });
}
