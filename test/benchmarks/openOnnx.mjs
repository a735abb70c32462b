// How fast a large ONNX file is listed, and how much memory that takes: design section 11 (under 500 ms, under 100 MB).
// Makes a sparse file with weights inside (1.9 GB by default) in a temporary folder, opens it in a fresh process, prints JSON.
// Usage: node test/benchmarks/openOnnx.mjs [gigabytes] [tensors]
import { build } from 'esbuild';
import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const gigabytes = Number(process.argv[2] ?? 1.9);
const tensors = Number(process.argv[3] ?? 300);
const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'loomweight-large-onnx-'));

const varint = (value) => {
  const bytes = [];
  let rest = BigInt(value);
  do {
    bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Buffer.from(bytes);
};
const tagged = (field, body) => Buffer.concat([varint(field * 8 + 2), varint(body.length), body]);
const number = (field, value) => Buffer.concat([varint(field * 8), varint(value)]);

try {
  const columns = 1024;
  const rows = Math.floor((gigabytes * 1e9) / tensors / columns / 4);
  const size = rows * columns * 4;
  const path = join(folder, 'large.onnx');
  const head = (index) =>
    Buffer.concat([
      number(1, rows),
      number(1, columns),
      number(2, 1),
      tagged(8, Buffer.from(`layer.${index}.weight`)),
      varint(9 * 8 + 2),
      varint(size),
    ]);
  const node = (index) =>
    tagged(
      1,
      Buffer.concat([
        tagged(1, Buffer.from(`h${index}`)),
        tagged(1, Buffer.from(`layer.${index}.weight`)),
        tagged(2, Buffer.from(`h${index + 1}`)),
        tagged(4, Buffer.from('MatMul')),
      ]),
    );
  const nodes = Buffer.concat(Array.from({ length: tensors }, (_, index) => node(index)));
  const heads = Array.from({ length: tensors }, (_, index) => {
    const body = head(index);
    return Buffer.concat([varint(5 * 8 + 2), varint(body.length + size), body]);
  });
  const graphLength = nodes.length + heads.reduce((sum, bytes) => sum + bytes.length + size, 0);
  const start = Buffer.concat([number(1, 10), tagged(8, number(2, 21)), varint(7 * 8 + 2), varint(graphLength), nodes]);
  const file = openSync(path, 'w');
  writeSync(file, start, 0, start.length, 0);
  let position = start.length;
  for (const bytes of heads) {
    writeSync(file, bytes, 0, bytes.length, position);
    position += bytes.length + size;
  }
  ftruncateSync(file, position);
  closeSync(file);

  const program = join(folder, 'open.cjs');
  await build({
    stdin: {
      contents: `
        import { openOnnx } from './src/engine/formats/onnx/openOnnx';
        const mode = process.argv[3];
        void (async () => {
          const begin = performance.now();
          let tensors = 0;
          if (mode === 'open') {
            const container = await openOnnx(process.argv[2] ?? '');
            tensors = container.tensors.size;
            await container.close();
          }
          const milliseconds = performance.now() - begin;
          console.log(JSON.stringify({ tensors, milliseconds, peakRssBytes: process.resourceUsage().maxRSS * 1024 }));
        })();`,
      resolveDir: root,
      loader: 'ts',
    },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    outfile: program,
    logLevel: 'warning',
  });
  const runs = (mode) =>
    Array.from({ length: 5 }, () => JSON.parse(spawnSync(process.execPath, [program, path, mode], { encoding: 'utf8' }).stdout));
  const idle = Math.min(...runs('idle').map((run) => run.peakRssBytes));
  const opened = runs('open');
  console.log(
    JSON.stringify(
      {
        fileBytes: position,
        tensors: opened[0].tensors,
        milliseconds: Math.min(...opened.map((run) => run.milliseconds)),
        rssGrowthBytes: Math.min(...opened.map((run) => run.peakRssBytes)) - idle,
      },
      null,
      1,
    ),
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
