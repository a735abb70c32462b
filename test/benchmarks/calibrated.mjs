// Methods that are calibrated on a text against controls that need none, on a language model: perplexity on some texts of rounding to nearest and GPTQ at 4, 3 and 2 bits
// (`quantise`), of budgets with either at equal bits per weight (`budget`), and of magnitude, Wanda and SparseGPT (`prune`); mean and deviation over draws of the calibration
// windows. Prints JSON lines and a Markdown table.
// Usage: npm run build && npm run bench calibrated -- MODEL CALIBRATION.txt EVALUATION.txt... [--part quantise,budget,prune] [--draws 3] [--samples N] [--limit WINDOWS] [--cli PATH]
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  args: process.argv.slice(2),
  allowPositionals: true,
  options: {
    part: { type: 'string', default: 'quantise,budget,prune' },
    draws: { type: 'string', default: '3' },
    samples: { type: 'string' },
    limit: { type: 'string' },
    cli: { type: 'string' },
  },
});
if (positionals.length < 3) {
  console.error(
    'Usage: npm run bench calibrated -- MODEL CALIBRATION.txt EVALUATION.txt... [--part quantise,budget,prune] [--draws 3] [--samples N] [--limit WINDOWS] [--cli PATH]',
  );
  process.exit(2);
}
const [model, calibration, ...texts] = positionals.map((path) => resolve(path));
const cli = resolve(values.cli ?? join('dist', 'cli.js'));
const draws = Array.from({ length: Number(values.draws) }, (_, seed) => seed);
const folder = mkdtempSync(join(tmpdir(), 'loomweight-calibrated-'));

function loomweight(...words) {
  return JSON.parse(execFileSync(process.execPath, [cli, ...words, '--json', '--quiet'], { encoding: 'utf8', maxBuffer: 2 ** 28 }));
}

/** Perplexity on every text. */
function perplexities(path) {
  return texts.map(
    (text) => loomweight('evaluate', path, '--text', text, '--window', '256', ...(values.limit ? ['--limit', values.limit] : [])).value,
  );
}

/** One row: the settings once for each draw, or once if they need no calibration. */
function row(name, settings, calibrated, sampled = calibrated) {
  const runs = (calibrated ? draws : [0]).map((seed) => {
    const own = ['--calibration', calibration, '--seed', String(seed), ...(sampled && values.samples ? ['--samples', values.samples] : [])];
    const out = join(folder, 'out');
    const report = loomweight('compress', model, '--format', 'hf', '--out', out, ...settings, ...(calibrated ? own : []));
    const run = { bitsPerWeight: report.bitsPerWeight, seconds: report.seconds, perplexity: perplexities(out) };
    rmSync(out, { recursive: true });
    return run;
  });
  console.error(JSON.stringify({ name, settings, runs }));
  return { name, runs };
}

function* quantising() {
  for (const bits of ['4', '3', '2']) {
    const grid = ['--bits', bits, '--group-size', '32'];
    yield row(`${bits} bits, rounding to nearest`, ['--method', 'rtn', ...grid], false);
    yield row(`${bits} bits, GPTQ`, ['--method', 'gptq', ...grid], true);
    yield row(`${bits} bits, GPTQ without activation order`, ['--method', 'gptq', '--no-act-order', ...grid], true);
    yield row(`${bits} bits, GPTQ with dynamic groups`, ['--method', 'gptq', '--no-static-groups', ...grid], true);
    yield row(`${bits} bits, GPTQ with clipping`, ['--method', 'gptq', '--clip', ...grid], true);
  }
}

function* budgets() {
  for (const budget of ['3.6', '2.57'])
    for (const method of ['rtn', 'gptq'])
      yield row(`budget ${budget}, ${method}`, ['--method', method, '--budget', budget], true, method === 'gptq');
}

function* pruning() {
  for (const [name, given] of [
    ['50 %', ['--sparsity', '0.5']],
    ['60 %', ['--sparsity', '0.6']],
    ['70 %', ['--sparsity', '0.7']],
    ['2:4', ['--pattern', '2:4']],
  ])
    for (const method of ['magnitude', 'wanda', 'sparsegpt'])
      yield row(`${name}, ${method}`, ['--method', method, ...given], method !== 'magnitude');
}

const parts = { quantise: quantising, budget: budgets, prune: pruning };
const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
const deviation = (numbers) =>
  Math.sqrt(mean(numbers.map((number) => (number - mean(numbers)) ** 2)) * (numbers.length / (numbers.length - 1)));
const shown = (numbers) => mean(numbers).toFixed(2) + (numbers.length > 1 ? ` ± ${deviation(numbers).toFixed(2)}` : '');

try {
  const float = perplexities(model);
  console.log(`| setting | ${texts.map((text) => basename(text, '.txt')).join(' | ')} | seconds |`);
  console.log(`| --- |${' ---: |'.repeat(texts.length + 1)}`);
  console.log(`| float | ${float.map((value) => value.toFixed(2)).join(' | ')} | |`);
  for (const part of values.part.split(','))
    for (const { name, runs } of parts[part]())
      console.log(
        `| ${name} | ${texts.map((_, index) => shown(runs.map(({ perplexity }) => perplexity[index]))).join(' | ')} | ${mean(runs.map(({ seconds }) => seconds)).toFixed(1)} |`,
      );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
