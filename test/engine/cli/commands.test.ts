import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Inspection } from '../../../src/engine/reports/summaryText';
import type { DevicesReport } from '../../../src/protocol/devices';
import type { MethodDescription } from '../../../src/protocol/methods';
import type {
  CompareReport,
  CompressReport,
  EvaluateReport,
  GenerateReport,
  LearnReport,
  RecipeReport,
} from '../../../src/protocol/report';
import { CommandLine } from '../../support/commandLine';

const samples = join(__dirname, '..', '..', '..', 'media', 'samples');
const model = join(samples, 'loom-base');
const text = join(samples, 'text', 'books.txt');
const evaluation = ['--text', text, '--window', '256', '--limit', '4'];

let cli: CommandLine;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'loomweight-cli-'));
  cli = await CommandLine.build();
}, 120_000);

afterAll(async () => {
  await cli.remove();
  await rm(folder, { recursive: true, force: true });
});

async function hashOfModel(): Promise<string> {
  return createHash('sha256')
    .update(await readFile(join(model, 'model.safetensors')))
    .digest('hex');
}

describe('inspect', () => {
  test('gives format, architecture, sizes and every tensor', async () => {
    const report = await cli.json<Inspection>(['inspect', model]);
    expect(report).toMatchObject({ format: 'hugging-face', architecture: 'LlamaForCausalLM', parameters: 3_950_848, bytes: 7_901_696 });
    expect(report.tensors).toHaveLength(38);
    expect(report.tensors.find(({ name }) => name === 'model.layers.0.mlp.down_proj.weight')).toMatchObject({
      dtype: 'float16',
      shape: [256, 688],
      bytes: 352_256,
    });
  });

  test('statistics agree with NumPy', async () => {
    const report = await cli.json<Inspection>(['inspect', model, '--stats', '--tensor', '*.0.mlp.down_proj.weight']);
    expect(report.tensors).toHaveLength(1);
    const statistics = report.tensors[0]?.statistics;
    // numpy 2.4: min, max, mean, std, (a == 0).sum() of the float16 values widened to float64.
    expect(statistics?.minimum).toBe(-0.190185546875);
    expect(statistics?.maximum).toBe(0.18603515625);
    expect(statistics?.mean).toBeCloseTo(-2.0490214431680046e-5, 9);
    expect(statistics?.standardDeviation).toBeCloseTo(0.03815684261583328, 9);
    expect(statistics?.zeros).toBe(1);
    expect(statistics?.histogram.counts.reduce((sum, count) => sum + count, 0)).toBe(256 * 688);
  });

  test('is an aligned table, the same from any folder', async () => {
    const first = await cli.run(['inspect', 'loom-base'], { cwd: samples });
    const second = await cli.run(['inspect', model], { cwd: folder });
    expect(first.stdout).toBe(second.stdout);
    expect(first.stderr).toBe('');
    // eslint-disable-next-line no-control-regex
    expect(first.stdout).not.toMatch(/\u001b/);
    expect(first.stdout).toMatch(/^Architecture {2}LlamaForCausalLM$/m);
    expect(first.stdout).toMatch(/^model\.embed_tokens\.weight +float16 +4096 x 256 +2\.00 MiB$/m);
  });
});

describe('compress, evaluate and compare', () => {
  const base = ['compress', model, '--method', 'rtn', '--bits', '4', '--group-size', '32'];

  test.each(['hf', 'onnx', 'onnx-fast', 'onnx-packed'] as const)(
    'to %s: verified, fewer bits, evaluated from its folder',
    async (format) => {
      const before = await hashOfModel();
      const parent = join(folder, `parent-${format}`);
      await mkdir(parent);
      const out = join(parent, 'out');
      const report = await cli.json<CompressReport>([...base, '--format', format, '--out', 'out'], { cwd: parent });
      expect(report).toMatchObject({ kind: 'compress', method: 'rtn', format, parameterCount: 3_950_848 });
      expect(report.verification.passed).toBe(true);
      expect(report.layers).toHaveLength(28);
      expect(report.bitsPerWeight).toBeGreaterThan(4);
      expect(report.bitsPerWeight).toBeLessThanOrEqual(5.2);
      expect(await readdir(parent)).toEqual(['out']);
      expect(await readdir(out)).toContain('report.json');
      for (const file of report.outputs) await expect(readFile(join(out, file.path))).resolves.toHaveLength(file.bytes);
      expect(await hashOfModel()).toBe(before);
      const inspected = await cli.json<Inspection>(['inspect', out]);
      expect(inspected.compressed).toMatchObject({ method: 'rtn' });
      const [float, small] = [
        await cli.json<EvaluateReport>(['evaluate', model, ...evaluation]),
        await cli.json<EvaluateReport>(['evaluate', out, ...evaluation]),
      ];
      expect(float).toMatchObject({ metric: 'perplexity', tokens: 1024, windows: 4 });
      expect(float.value).toBeCloseTo(Math.exp(float.loss), 6);
      // Four bits cost little on this model: 98.997 becomes 99.333 over 32 windows of another text, measured with PyTorch.
      expect(Math.abs(small.value / float.value - 1)).toBeLessThan(0.03);
      expect(small.value).not.toBe(float.value);
    },
    240_000,
  );

  test('overrides, embeddings and the default format are applied and reported', async () => {
    const out = join(folder, 'three');
    const words = ['compress', model, '--method=rtn', '--bits=3', '--override', '*.down_proj.weight=bits:8', '--embeddings', '--out', out];
    const { code, stdout, stderr } = await cli.run(words);
    expect(stderr).toMatch(/^Format: onnx-packed \(the runtime has no fast kernel for 3 bits; set --format to choose another\)\.$/m);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^model\.layers\.0\.mlp\.down_proj\.weight +256 x 688 +8 /m);
    expect(stdout).toMatch(/^model\.embed_tokens\.weight +4096 x 256 +3 /m);
    const report = JSON.parse(await readFile(join(out, 'report.json'), 'utf8')) as CompressReport;
    expect(report.layers).toHaveLength(29);
  }, 120_000);

  test('compare names what changed and by how much', async () => {
    const out = join(folder, 'compared');
    await cli.json([...base, '--format', 'hf', '--out', out]);
    const report = await cli.json<CompareReport>(['compare', model, out]);
    expect(report).toMatchObject({ equal: 10, changed: 28, missing: 0 });
    for (const tensor of report.tensors.filter(({ status }) => status === 'changed')) {
      expect(tensor.cosine).toBeGreaterThan(0.98);
      expect(tensor.sqnr).toBeGreaterThan(15);
      expect(tensor.sqnr).toBeLessThan(40);
    }
    const same = await cli.json<CompareReport>(['compare', model, model, '--tensors', '*.norm.weight']);
    expect(same).toMatchObject({ equal: 1, changed: 0, missing: 0 });
  }, 120_000);

  test('the same seed gives the same bytes', async () => {
    const outs = [join(folder, 'same-1'), join(folder, 'same-2')];
    const reports: CompressReport[] = [];
    for (const out of outs) reports.push(await cli.json<CompressReport>([...base, '--format', 'onnx-packed', '--seed', '3', '--out', out]));
    const [first, second] = await Promise.all(outs.map((out) => readFile(join(out, reports[0]?.primary as string))));
    expect(Buffer.compare(first as Buffer, second as Buffer)).toBe(0);
  }, 120_000);
});

test('the bundled recipe runs, uses its own output and resumes', async () => {
  const copy = join(folder, 'samples');
  await cp(samples, copy, { recursive: true, filter: (path) => !path.endsWith(join('samples', 'out')) });
  const recipe = join(copy, 'first.loom.yaml');
  const report = await cli.json<RecipeReport>(['run', recipe], { cwd: folder });
  expect(report.steps.map(({ name, report: step }) => [name, step.kind])).toEqual([
    ['look', 'inspect'],
    ['small', 'compress'],
    ['before', 'evaluate'],
    ['after', 'evaluate'],
  ]);
  const again = await cli.run(['run', recipe, '--resume']);
  expect(again.code).toBe(0);
  expect(again.stdout).toMatch(/^2\. small \(already done, skipped\)$/m);
  expect(again.stdout).toMatch(/^4\. after \(already done, skipped\)$/m);
  const twice = await cli.run(['run', recipe]);
  expect(twice.code).toBe(2);
  expect(twice.stderr).toMatch(/loom-base-small/);
}, 240_000);

describe('lists', () => {
  test('devices', async () => {
    const report = await cli.json<DevicesReport>(['devices']);
    expect(report.devices.find(({ provider }) => provider === 'cpu')).toMatchObject({ usable: true });
    expect((await cli.run(['devices'])).stdout).toMatch(/^Automatic +\w+: /m);
  });

  test('methods', async () => {
    expect((await cli.json<MethodDescription[]>(['methods'])).map(({ id }) => id)).toContain('rtn');
    expect((await cli.run(['methods'])).stdout).toMatch(/^rtn: Round to nearest$/m);
  });

  test('version and help', async () => {
    const { version } = JSON.parse(await readFile(join(samples, '..', '..', 'package.json'), 'utf8')) as { version: string };
    expect(await cli.run(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
    expect((await cli.run(['compress', '--help'])).stdout).toMatch(/^Usage: loomweight compress MODEL --out DIR \[options\]$/m);
    expect(await cli.run(['help', 'run'])).toEqual(await cli.run(['run', '-h']));
  });
});

test('learn-bits trains, writes two formats and prints a summary', async () => {
  const digits = join(samples, 'digits');
  const words = ['learn-bits', join(digits, 'digits-mlp.onnx'), '--data', join(digits, 'data'), '--target-bits', '3.5', '--steps', '80'];
  const report = await cli.json<LearnReport>([...words, '--out', join(folder, 'learned')]);
  expect(report).toMatchObject({ kind: 'learn', method: 'diffq', formats: ['archive', 'onnx-packed'], verification: { passed: true } });
  expect(report.sizes.true).toBeLessThan(report.sizes.float32 / 6);
  const inspected = await cli.json<Inspection>(['inspect', join(folder, 'learned')]);
  expect(inspected.parameters).toBe(26_122);
  const { code, stdout, stderr } = await cli.run(
    [...words, '--method', 'lsq', '--bits', '3', '--out', join(folder, 'lsq')].filter(
      (word, index, all) => word !== '--target-bits' && all[index - 1] !== '--target-bits',
    ),
  );
  expect(code).toBe(0);
  expect(stdout).toMatch(/fc1\.weight/);
  expect(stdout).toMatch(/archive: .* times smaller than float32\), accuracy 0\.9/);
  expect(stderr).toMatch(/^Forecast: /m);
});

describe('generate', () => {
  const words = ['generate', model, '--prompt', 'It was a dark night', '--max-tokens', '24'];

  test('writes the text, and nothing else, to stdout', async () => {
    const report = await cli.json<GenerateReport>([...words, '--greedy']);
    expect(report).toMatchObject({
      kind: 'generate',
      stopped: 'length',
      text: expect.stringMatching(/^, and the other two of the sea/) as string,
    });
    const { stdout, stderr } = await cli.run([...words, '--greedy', '--quiet']);
    expect(stdout).toBe(`${report.text}\n`);
    expect(stderr).toBe('');
  });

  test('is reproducible by its seed', async () => {
    const text = async (seed: string) => (await cli.run([...words, '--seed', seed, '--quiet'])).stdout;
    const first = await text('5');
    expect(first.length).toBeGreaterThan(20);
    expect(await text('5')).toBe(first);
    expect(await text('6')).not.toBe(first);
  });

  test('refuses what the context does not hold with exit code 2', async () => {
    const { code, stdout, stderr } = await cli.run(['generate', model, '--max-tokens', '512']);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain("exceed the model's context of 512");
  });
});
