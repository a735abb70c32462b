/**
 * Speed of tensor statistics and pictures on a file in the system's cache: design section 11 (over 1 GB/s of
 * float16). Prints JSON: the best of several rounds in GB/s of stored bytes, per type; memory growth of a picture.
 * Usage: npm run bench statistics [-- megabytes]
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SeededRandom } from '../../src/common/random';
import { elementsIn, encodeFromFloat32 } from '../../src/engine/formats/decode';
import { openSafetensors } from '../../src/engine/formats/safetensors/openSafetensors';
import { buildHeader } from '../../src/engine/formats/safetensors/writer';
import { CodeCounter } from '../../src/engine/kernels/host/countCodes';
import { tensorPicture } from '../../src/engine/kernels/host/picture';
import { tensorStatistics } from '../../src/engine/kernels/host/statistics';

const megabytes = Number(process.argv[2] ?? 256);
const rounds = 7;
const folder = mkdtempSync(path.join(tmpdir(), 'loomweight-statistics-'));
const random = new SeededRandom(1);
const sample = Float32Array.from({ length: 2 ** 20 }, () => random.nextNormal() * 0.02);

async function best(action: () => Promise<unknown>): Promise<number> {
  let seconds = Infinity;
  for (let round = 0; round < rounds; round += 1) {
    const start = performance.now();
    await action();
    seconds = Math.min(seconds, (performance.now() - start) / 1000);
  }
  return seconds;
}

try {
  const gigabytesPerSecond: Record<string, number> = {};
  const pictures: Record<string, unknown> = {};
  for (const dtype of ['float16', 'bfloat16', 'float32'] as const) {
    const piece = encodeFromFloat32(dtype, sample);
    const data = Buffer.concat(Array.from({ length: Math.ceil((megabytes * 1e6) / piece.length) }, () => piece));
    const shape = [elementsIn(dtype, data.length) / 4096, 4096];
    const file = path.join(folder, `${dtype}.safetensors`);
    writeFileSync(file, Buffer.concat([buildHeader([{ name: 'x', dtype, shape }], {}).header, data]));
    const container = await openSafetensors(file);
    gigabytesPerSecond[dtype] = data.length / 1e9 / (await best(() => tensorStatistics(container, 'x')));
    const before = process.memoryUsage().rss;
    const seconds = await best(() => tensorPicture(container, 'x', { width: 512, height: 512 }));
    pictures[dtype] = { seconds, gigabytesPerSecond: data.length / 1e9 / seconds, rssGrowthMB: (process.memoryUsage().rss - before) / 1e6 };
    await container.close();
  }
  const codes = encodeFromFloat32('float16', sample);
  const counter = new CodeCounter(65536);
  const counting = codes.length / 1e9 / (await best(async () => counter.add(codes)));
  console.log(JSON.stringify({ megabytes, rounds, gigabytesPerSecond, countingInMemory: counting, pictures }, undefined, 2));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
