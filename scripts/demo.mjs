// The main jobs on the bundled models, from the command line: inspect, compress to 4 bits, verify, evaluate before and after; then learn bit-widths.
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { SetupError, ensurePackages, root } from './setup.mjs';

const WINDOWS = 32;
const model = join(root, 'media', 'samples', 'loom-base');
const text = join(root, 'media', 'samples', 'text', 'books.txt');
const out = join(root, '.tmp', 'demo', 'loom-base-4bit');
const digits = join(root, 'media', 'samples', 'digits');
const learnedOut = join(root, '.tmp', 'demo', 'digits-3bit');

/** Runs one command of the command line with --json and gives its document; prints what is run, so that it can be repeated by hand. */
function loomweight(words) {
  const shown = words.map((word) => (word.startsWith(root) ? relative(process.cwd(), word) || word : word)).join(' ');
  console.log(`\n$ node ${relative(process.cwd(), join(root, 'dist', 'cli.js'))} ${shown}`);
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'dist', 'cli.js'), ...words, '--json'], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) {
    throw new SetupError(`demo: "loomweight ${words[0]}" ended with exit code ${status}.\n${stdout}${stderr}`);
  }
  return JSON.parse(stdout);
}

const megabytes = (bytes) => (bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(2)} MB`);

function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join('   '))
    .join('\n');
}

/** Trains the bundled digits network to need only 3 bits per weight, each group of 8 weights with its own width. */
function learn() {
  const model = join(digits, 'digits-mlp.onnx');
  const words = ['learn-bits', model, '--data', join(digits, 'data'), '--target-bits', '3', '--steps', '600', '--out', learnedOut];
  const report = loomweight(words);
  if (!report.verification.passed) {
    throw new SetupError('demo: the verification of the learned model failed.');
  }
  const { before, after } = report.quality;
  console.log(
    `\n${table([
      ['', 'weights', 'bits per weight', 'right of 360'],
      [
        'digits, as it is',
        megabytes(report.layers.reduce((sum, layer) => sum + layer.bytesBefore, 0)),
        '32',
        String(Math.round(360 * before.value)),
      ],
      [
        'digits, learned widths',
        megabytes(report.layers.reduce((sum, layer) => sum + layer.bytesAfter, 0)),
        report.bitsPerWeight.toFixed(2),
        String(Math.round(360 * after.value)),
      ],
    ])}`,
  );
  for (const layer of report.layers) {
    const widths = layer.histogram.bits.map(
      (bits, index) => `${bits} bits: ${Math.round((100 * layer.histogram.weights[index]) / layer.weights)} %`,
    );
    console.log(`  ${layer.name}: ${widths.join(', ')}`);
  }
  console.log(`${report.training.steps} steps, ${report.training.stepsPerSecond.toFixed(0)} a second.`);
}

function demo() {
  const started = Date.now();
  ensurePackages();
  console.log('demo: building');
  const { status } = spawnSync(process.execPath, [join(root, 'scripts', 'build.mjs')], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (status !== 0) {
    throw new SetupError('demo: the build failed, see above.');
  }
  for (const folder of [out, learnedOut]) rmSync(folder, { recursive: true, force: true });

  const inspected = loomweight(['inspect', model]);
  console.log(
    `${inspected.architecture}, ${inspected.parameters.toLocaleString('en')} parameters in ${inspected.tensors.length} tensors, ${megabytes(inspected.bytes)}`,
  );
  const compress = ['compress', model, '--method', 'rtn', '--bits', '4', '--group-size', '32', '--format', 'onnx-fast', '--out', out];
  const report = loomweight(compress);
  for (const check of report.verification.checks) {
    const measured = check.measured.toPrecision(3);
    console.log(
      `verified ${check.name}: ${measured} ${check.unit} (limit ${check.limit.toPrecision(3)}) ${check.passed ? 'passed' : 'FAILED'}`,
    );
  }
  if (!report.verification.passed) {
    throw new SetupError('demo: the verification failed.');
  }
  if (report.latency) {
    console.log(report.latency.summary);
  }
  const evaluation = ['--text', text, '--window', '256', '--limit', String(WINDOWS)];
  const before = loomweight(['evaluate', model, ...evaluation]);
  const after = loomweight(['evaluate', out, ...evaluation]);

  const quality = (result) => [result.value.toFixed(2), result.tokensPerSecond ? result.tokensPerSecond.toFixed(0) : ''];
  console.log(
    `\n${table([
      ['', 'size', 'bits per weight', 'perplexity', 'tokens/s'],
      ['loom-base, as it is', megabytes(report.bytesBefore), '16', ...quality(before)],
      ['loom-base, 4 bits', megabytes(report.bytesAfter), report.bitsPerWeight.toFixed(2), ...quality(after)],
    ])}`,
  );
  console.log(`\nBits per weight count the ${report.layers.length} compressed layers; the embedding stays as it was.`);
  console.log(`Files in ${out}:`);
  for (const file of report.outputs) {
    console.log(`  ${file.path} (${megabytes(file.bytes)})`);
  }
  learn();
  writeFileSync(join(root, '.tmp', 'demo', 'result.json'), JSON.stringify({ before: before.value, after: after.value }, null, 2));
  console.log(`demo: done in ${((Date.now() - started) / 1000).toFixed(0)} s`);
}

try {
  demo();
} catch (error) {
  console.error(error instanceof SetupError ? error.message : error);
  process.exitCode = 1;
}
