// How fast `inspect` lists a large file and how much memory that takes (design section 11): a 10 GB safetensors file of 3,000 tensors
// (200 ms, 60 MB) and a 1.9 GB ONNX file (500 ms, 100 MB). The whole command line runs in fresh processes; time until its first row and
// peak memory are compared with those of `loomweight --version`. Files are sparse. Prints JSON.
// Usage: npm run build && npm run bench inspect [-- runs]
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeSparseOnnx, writeSparseSafetensors } from './support/sparseModels.mjs';

const runs = Number(process.argv[2] ?? 7);
const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'loomweight-inspect-'));
const meter = join(folder, 'meter.cjs');
writeFileSync(meter, "process.on('exit', () => process.stderr.write(`peak ${process.resourceUsage().maxRSS}\\n`));");

/** One run: milliseconds from start to the first byte of output and to the end, and peak resident bytes. */
function run(words) {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(process.execPath, ['--require', meter, cli, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
    let first;
    let errors = '';
    child.stdout.on('data', () => (first ??= performance.now() - start));
    child.stderr.on('data', (text) => (errors += text));
    child.on('close', (code) => {
      const peak = /peak (\d+)/.exec(errors);
      if (code !== 0 || !peak) reject(new Error(`${words.join(' ')} ended with ${code}: ${errors}`));
      else resolve({ first, total: performance.now() - start, peakBytes: Number(peak[1]) * 1024 });
    });
  });
}

async function measure(words) {
  const results = [];
  for (let i = 0; i < runs; i += 1) results.push(await run(words));
  const sorted = (key) => results.map((result) => result[key]).sort((a, b) => a - b);
  const median = (key) => sorted(key)[Math.floor(runs / 2)];
  return {
    firstMs: [sorted('first')[0], median('first')].map(Math.round),
    totalMs: [sorted('total')[0], median('total')].map(Math.round),
    peakMB: Math.round(median('peakBytes') / 1e5) / 10,
  };
}

try {
  const safetensors = join(folder, 'large.safetensors');
  const onnx = join(folder, 'large.onnx');
  const many = join(folder, 'many.onnx');
  const files = {
    safetensors10GB: writeSparseSafetensors(safetensors, 10, 3000),
    onnx1900MB: writeSparseOnnx(onnx, 1.9, 300),
    onnx1900MB20000Tensors: writeSparseOnnx(many, 1.9, 20_000),
  };
  const version = await measure(['--version']);
  const report = { runs, columns: 'milliseconds: [least, median]', version };
  for (const [name, path] of [
    ['safetensors10GB', safetensors],
    ['onnx1900MB', onnx],
    ['onnx1900MB20000Tensors', many],
  ]) {
    const figures = await measure(['inspect', path]);
    report[name] = {
      bytes: files[name],
      ...figures,
      firstMsBeyondVersion: figures.firstMs.map((ms, i) => ms - version.firstMs[i]),
      growthMB: Math.round((figures.peakMB - version.peakMB) * 10) / 10,
    };
  }
  console.log(JSON.stringify(report, undefined, 1));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
