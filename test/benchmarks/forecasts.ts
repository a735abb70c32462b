/**
 * Forecast of memory against the true peak, over jobs of every kind: formats, methods, kinds of source, with and without a limit. Each is the whole command line in a process of its own;
 * the forecast is the one that it prints, the peak the largest resident size of the job's process that the report states. Models: the bundled samples, a decoder of 54 million weights and
 * ONNX models of 17 and 33 million weights (inside the file and beside it). Prints a Markdown table, and the jobs outside of 0.9 to 1.5.
 * Usage: npm run build && npm run bench forecasts -- [--only WORD]
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { SeededRandom } from '../../src/common/random';
import { parseBytes } from '../../src/common/units';
import { encodeModel } from '../../src/engine/formats/onnx/encodeModel';
import { writeOnnxModel } from '../../src/engine/formats/onnx/writeOnnxModel';
import { GraphBuilder } from '../../src/engine/graph/builder';
import { operators } from '../../src/engine/ops/index';

const { values: given } = parseArgs({ options: { only: { type: 'string' } } });
const root = process.cwd();
const folder = mkdtempSync(path.join(tmpdir(), 'loomweight-forecasts-'));
const mebibyte = 2 ** 20;
const digits = 'media/samples/digits/digits-mlp.onnx';
const digitsData = 'media/samples/digits/data';
const base = 'media/samples/loom-base';

/** `layers` products of 2048 x 2048 weights. */
function stack(layers: number) {
  const random = new SeededRandom(1);
  const build = new GraphBuilder(operators, 'stack');
  let value = build.input('x', { dtype: 'float32', shape: ['rows', 2048] });
  for (let layer = 0; layer < layers; layer += 1) {
    const values = Float32Array.from({ length: 2048 * 2048 }, () => 0.02 * random.nextNormal());
    const bytes = new Uint8Array(values.buffer);
    value = build.op('MatMul', [value, build.constant({ kind: 'inline', dtype: 'float32', shape: [2048, 2048], bytes }, `w${layer}`)]);
  }
  build.output(value, 'y');
  return build.finish();
}

async function models(): Promise<Readonly<Record<'inside' | 'beside' | 'decoder', string>>> {
  const [inside, beside, decoder] = ['inside.onnx', 'beside.onnx', 'decoder'].map((name) => path.join(folder, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(inside, encodeModel(stack(4)));
  await writeOnnxModel(stack(8), beside, { externalData: 'always' });
  execFileSync(process.execPath, [path.join(root, 'test/support/makeSparseLlama.mjs'), decoder, '4', '1024', '2816', '4096']);
  return { inside, beside, decoder };
}

interface Row {
  readonly job: string;
  readonly limit: string;
  readonly forecast: number;
  readonly peak: number;
  readonly scope: string;
}

/** One job; `limit` in MiB. Undefined where it is refused. */
function run(job: string, words: readonly string[], limit?: number): Row | undefined {
  const out = path.join(folder, 'out');
  const writes = words[0] === 'compress' || words[0] === 'learn-bits';
  const all = [...words, ...(writes ? ['--out', out] : []), ...(limit === undefined ? [] : ['--max-memory', `${limit}MiB`]), '--json'];
  const { stdout, stderr } = spawnSync(process.execPath, [path.join(root, 'dist', 'cli.js'), ...all], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  rmSync(out, { recursive: true, force: true });
  rmSync(`${out}.checkpoint`, { recursive: true, force: true });
  const report = JSON.parse(stdout) as {
    readonly peakRssBytes?: number;
    readonly verification?: { readonly scope: string };
    readonly error?: { readonly message: string };
  };
  const text = /Forecast: up to ([\d.]+ \w+) of memory/.exec(stderr)?.[1];
  if (text === undefined || report.peakRssBytes === undefined) {
    console.error(`${job}: ${report.error?.message ?? 'no forecast'}`);
    return undefined;
  }
  return {
    job,
    limit: limit === undefined ? '' : String(limit),
    forecast: (parseBytes(text) ?? NaN) / mebibyte,
    peak: report.peakRssBytes / mebibyte,
    scope: report.verification?.scope ?? '',
  };
}

try {
  const { inside, beside, decoder } = await models();
  const text = 'media/samples/text/books.txt';
  const rtn = (model: string, format: string, bits: number) => [
    'compress',
    model,
    '--method',
    'rtn',
    '--bits',
    String(bits),
    '--format',
    format,
  ];
  const learn = (method: string, ...more: readonly string[]) => [
    'learn-bits',
    digits,
    '--data',
    digitsData,
    '--steps',
    '60',
    '--method',
    method,
    ...more,
  ];
  const jobs: readonly (readonly [job: string, words: readonly string[], limit?: number])[] = [
    ...['onnx', 'onnx-fast', 'onnx-packed', 'archive'].flatMap((format) => [
      [`ONNX, weights inside, ${format}, 4 bits`, rtn(inside, format, 4)] as const,
      [`ONNX, weights beside, ${format}, 4 bits`, rtn(beside, format, 4)] as const,
    ]),
    ['ONNX, weights beside, onnx-packed, 3 bits', rtn(beside, 'onnx-packed', 3)],
    ['ONNX, weights beside, onnx-packed, 3 bits', rtn(beside, 'onnx-packed', 3), 900],
    ['ONNX, weights inside, onnx-fast, 4 bits', rtn(inside, 'onnx-fast', 4), 450],
    ['ONNX, weights inside, none', ['compress', inside, '--method', 'none', '--format', 'onnx']],
    ['ONNX, weights beside, none', ['compress', beside, '--method', 'none', '--format', 'onnx']],
    ...['hf', 'onnx', 'onnx-fast', 'onnx-packed', 'archive'].map(
      (format) => [`decoder, ${format}, 4 bits`, rtn(decoder, format, 4)] as const,
    ),
    ['decoder, onnx-fast, 4 bits', rtn(decoder, 'onnx-fast', 4), 900],
    ['decoder, hf, 4 bits', rtn(decoder, 'hf', 4), 700],
    ['decoder, none, onnx', ['compress', decoder, '--method', 'none', '--format', 'onnx']],
    ['loom-base, budget of 3.5, onnx-packed', ['compress', base, '--budget', '3.5', '--format', 'onnx-packed']],
    ['GGUF, none, hf', ['compress', 'test/fixtures/gguf/tiny-q8_0.gguf', '--method', 'none', '--format', 'hf']],
    ['digits, onnx-fast, 4 bits', rtn(digits, 'onnx-fast', 4)],
    ['digits, learn-bits, DiffQ', learn('diffq', '--target-bits', '4')],
    ['digits, learn-bits, QAT', learn('qat')],
    ['digits, learn-bits, LSQ', learn('lsq')],
    ['digits, learn-bits, Quant-Noise', learn('quant-noise')],
    ['digits, evaluate', ['evaluate', digits, '--data', digitsData]],
    ['loom-base, evaluate', ['evaluate', base, '--text', text]],
    ['decoder, evaluate', ['evaluate', decoder, '--text', text, '--window', '64', '--limit', '4']],
    ['decoder and itself, compare', ['compare', decoder, decoder]],
  ];
  const chosen = jobs.filter(([job]) => given.only === undefined || job.includes(given.only));
  console.log('| job | limit, MiB | forecast, MiB | peak, MiB | forecast / peak | checked |\n| --- | --- | --- | --- | --- | --- |');
  const rows: Row[] = [];
  for (const [name, words, most] of chosen) {
    const row = run(name, words, most);
    if (row === undefined) continue;
    rows.push(row);
    const { job, limit, forecast, peak, scope } = row;
    console.log(`| ${job} | ${limit} | ${forecast.toFixed(0)} | ${peak.toFixed(0)} | ${(forecast / peak).toFixed(2)} | ${scope} |`);
  }
  const outside = rows.filter(({ forecast, peak }) => forecast < 0.9 * peak || forecast > 1.5 * peak);
  console.log(`\n${rows.length} jobs; outside of 0.9 to 1.5: ${outside.map(({ job }) => job).join('; ') || 'none'}.`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
