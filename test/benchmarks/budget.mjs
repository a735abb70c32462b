// Bits under a budget against uniform rounding at equal bits per weight (self-unpacking ONNX sizes from the dequantised format's plan): perplexity of
// a language model at the sizes that 2, 3 and 4 bits with groups of 32 and 64 cost, and for a budget that no uniform setting hits against the
// cheapest uniform setting above it. Prints JSON and a Markdown table.
// Usage: npm run build && npm run bench budget -- MODEL CALIBRATION.txt EVALUATION.txt [--limit WINDOWS] [--sensitivity MEASURE] [--cli PATH]
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  args: process.argv.slice(2),
  allowPositionals: true,
  options: { limit: { type: 'string' }, sensitivity: { type: 'string' }, cli: { type: 'string' } },
});
if (positionals.length !== 3) {
  console.error(
    'Usage: npm run bench budget -- MODEL CALIBRATION.txt EVALUATION.txt [--limit WINDOWS] [--sensitivity MEASURE] [--cli PATH]',
  );
  process.exit(2);
}
const [model, calibration, text] = positionals.map((path) => resolve(path));
const cli = resolve(values.cli ?? join('dist', 'cli.js'));
const folder = mkdtempSync(join(tmpdir(), 'loomweight-budget-'));
let count = 0;

function loomweight(...words) {
  return JSON.parse(execFileSync(process.execPath, [cli, ...words, '--json', '--quiet'], { encoding: 'utf8', maxBuffer: 2 ** 28 }));
}

function perplexity(path) {
  return loomweight('evaluate', path, '--text', text, ...(values.limit ? ['--limit', values.limit] : [])).value;
}

function measured(...words) {
  const out = join(folder, String((count += 1)));
  const report = loomweight('compress', model, '--format', 'hf', '--out', out, ...words);
  const result = { bitsPerWeight: report.bitsPerWeight, perplexity: perplexity(out), seconds: report.seconds };
  rmSync(out, { recursive: true });
  return result;
}

const uniformAt = (bits, group) => measured('--method', 'rtn', '--bits', String(bits), '--group-size', String(group));
const budgetAt = (budget) =>
  measured('--budget', String(budget), '--calibration', calibration, ...(values.sensitivity ? ['--sensitivity', values.sensitivity] : []));

try {
  const float = perplexity(model);
  const rows = [];
  for (const bits of [2, 3, 4])
    for (const group of [64, 32]) {
      const uniform = uniformAt(bits, group);
      rows.push({ size: `${bits} bits, groups of ${group}`, uniform, budget: budgetAt(uniform.bitsPerWeight) });
      console.error(JSON.stringify(rows.at(-1)));
    }
  // Between 3 bits with groups of 32 and 4 bits in whole rows there is no uniform setting.
  rows.push({ size: 'budget 3.8; uniform: 4 bits, whole rows', uniform: uniformAt(4, 'row'), budget: budgetAt(3.8) });
  console.log(JSON.stringify({ model: positionals[0], float, rows }, undefined, 2));
  console.log('| size | bits per weight, uniform | perplexity, uniform | bits per weight, budget | perplexity, budget |');
  console.log('| --- | ---: | ---: | ---: | ---: |');
  for (const { size, uniform, budget } of rows)
    console.log(
      `| ${size} | ${uniform.bitsPerWeight.toFixed(3)} | ${uniform.perplexity.toFixed(3)} | ${budget.bitsPerWeight.toFixed(3)} | ${budget.perplexity.toFixed(3)} |`,
    );
  console.log(`Float: ${float.toFixed(3)}.`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
