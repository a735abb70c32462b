import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SeededRandom } from '../../src/common/random';
import { ArchiveWriter } from '../../src/engine/formats/archive/writer';
import { randomLearned } from '../support/randomLearned';

/** An archive with a tensor of every kind. */
export async function archiveSeed(folder: string): Promise<Uint8Array> {
  const path = join(folder, `seed-${process.hrtime.bigint()}.loomq`);
  const random = new SeededRandom(4);
  const writer = await ArchiveWriter.create(path, { made: 'test' });
  await writer.addLearned(randomLearned(random, { name: 'learned', shape: [6, 20], groupSize: 8, widths: [2, 3, 7, 12] }));
  await writer.addGrouped({
    ...{ name: 'grouped', shape: [4, 8], transposed: true, bits: 3, groupSize: 8, granularity: 'group', symmetric: false },
    ...{ scaleDType: 'float16', codes: Uint8Array.from({ length: 32 }, () => random.nextBelow(8)) },
    ...{ scales: Float32Array.of(1, 2, 3, 4), zeroPoints: Uint8Array.of(1, 2, 3, 4) },
  });
  await writer.addPlain('plain', 'float16', [5], new Uint8Array(10));
  await writer.finish();
  return readFileSync(path);
}
