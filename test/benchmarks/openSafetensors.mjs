// How fast a large safetensors file is listed and how much memory that takes: design section 11 (first rows under 200 ms, growth
// under 60 MB). Makes a sparse file (10 GB, 3,000 tensors by default), opens it in a fresh process, prints JSON.
// Usage: node test/benchmarks/openSafetensors.mjs [gigabytes] [tensors]
import { build } from 'esbuild';
import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const gigabytes = Number(process.argv[2] ?? 10);
const tensors = Number(process.argv[3] ?? 3000);
const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'loomweight-large-safetensors-'));

try {
  const rows = Math.floor((gigabytes * 1e9) / tensors / 2 / 1024);
  const size = rows * 1024 * 2;
  const fields = Array.from(
    { length: tensors },
    (_, i) => `"model.layers.${i}.weight":{"dtype":"F16","shape":[${rows},1024],"data_offsets":[${i * size},${(i + 1) * size}]}`,
  );
  const json = Buffer.from(`{${fields.join(',')}}`);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const path = join(folder, 'large.safetensors');
  const file = openSync(path, 'w');
  writeSync(file, Buffer.concat([length, json]));
  ftruncateSync(file, 8 + json.length + tensors * size);
  closeSync(file);

  const outfile = join(folder, 'open.mjs');
  await build({
    stdin: {
      contents: `
        import { openSafetensors } from './src/engine/formats/safetensors/openSafetensors';
        import { summarizeModel } from './src/engine/formats/modelSummary';
        const before = process.memoryUsage().rss;
        const start = performance.now();
        const container = await openSafetensors(process.argv[2]);
        const { tensors } = await summarizeModel(container);
        const milliseconds = performance.now() - start;
        const { name } = tensors.at(-1);
        const last = await container.read(name, { offset: 0, length: 16 });
        await container.close();
        const rssGrowthMB = (process.resourceUsage().maxRSS * 1024 - before) / 1e6;
        console.log(JSON.stringify({ milliseconds, rssGrowthMB, tensors: tensors.length, read: last.length }));`,
      resolveDir: root,
      loader: 'ts',
    },
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'warning',
  });
  const runs = Array.from({ length: 5 }, () => JSON.parse(spawnSync(process.execPath, [outfile, path], { encoding: 'utf8' }).stdout));
  const least = (key) => Math.min(...runs.map((run) => run[key]));
  const most = (key) => Math.max(...runs.map((run) => run[key]));
  console.log(
    JSON.stringify({ gigabytes, tensors, milliseconds: least('milliseconds'), rssGrowthMB: most('rssGrowthMB'), runs }, undefined, 2),
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
