import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ErrorData } from '../../../src/protocol/errors';
import { CommandLine, ended } from '../../support/commandLine';

const samples = join(__dirname, '..', '..', '..', 'media', 'samples');
const model = join(samples, 'loom-base');
const text = join(samples, 'text', 'books.txt');

let cli: CommandLine;
let root: string;
let folder: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'loomweight-failures-'));
  cli = await CommandLine.build();
}, 120_000);

beforeEach(async () => {
  folder = await mkdtemp(join(root, 'case-'));
});

afterAll(async () => {
  await cli.remove();
  await rm(root, { recursive: true, force: true });
});

/**
 * Runs a command that must fail, once for people and once with --json. For people: nothing on stdout, one line on stderr.
 * With --json: exactly the error's document on stdout. Both with the same exit code and message.
 */
async function failure(words: readonly string[]): Promise<{ readonly code: number | null; readonly error: ErrorData }> {
  const plain = await cli.run(words, { cwd: folder });
  const scripted = await cli.run([...words, '--json'], { cwd: folder });
  const { error, ...rest } = JSON.parse(scripted.stdout) as { readonly error: ErrorData };
  expect(rest).toEqual({});
  expect(scripted.code).toBe(plain.code);
  expect(plain.stdout).toBe('');
  expect(plain.stderr.trimEnd().split('\n').at(-1)).toBe(`loomweight: ${error.message}`);
  expect(plain.stderr).not.toMatch(/\n\s+at /);
  return { code: plain.code, error };
}

const digits = join(samples, 'digits', 'digits-mlp.onnx');
const learn = ['learn-bits', digits, '--data', join(samples, 'digits', 'data'), '--out', 'out'];
const compress = ['compress', model, '--method', 'rtn', '--format', 'hf', '--out', 'out'];

describe('exit code 2: bad arguments', () => {
  test.each([
    [['evalaute', model], "Unknown command 'evalaute'. Did you mean 'evaluate'?"],
    [['merge', model], "The command 'merge' is not part of this version"],
    [['compress', model, '--method', 'rtn', '--out', 'out', '--bit', '4'], "'compress' has no flag --bit. Did you mean '--bits'?"],
    [['compress', model, '--method', 'rtn', '--out', 'out', '--bits', '9'], "--bits must be a whole number from 1 to 8, got '9'."],
    [
      ['compress', model, '--method', 'nothing', '--out', 'out'],
      "--method must be one of rtn, gptq, magnitude, wanda, sparsegpt, none, got 'nothing'.",
    ],
    [
      ['compress', model, '--format', 'hf', '--out', 'out'],
      "'compress' needs --method ID or --budget BITS. See 'loomweight compress --help'.",
    ],
    [['compress', model, '--budget', 'few', '--out', 'out'], "--budget must be a number above 0 and at most 32, got 'few'."],
    [['compress', model, '--budget', '3', '--bits', '4', '--out', 'out'], 'A budget chooses the bits of every tensor. Omit --bits'],
    [[...compress, '--sensitivity', 'error'], '--sensitivity requires --budget, which is not given.'],
    [
      ['compress', model, '--budget', '1', '--format', 'hf', '--sensitivity', 'error', '--out', 'out'],
      'A budget of 1 bits per weight is too small',
    ],
    [['compress', model, '--budget', '33', '--out', 'out'], '--budget must be a number above 0 and at most 32'],
    [[...compress, '--override', 'x'], "--override must be GLOB=KEY:VALUE,... as in '*.down_proj.weight=bits:8,groupSize:64', got 'x'."],
    [[...compress, '--override', 'x=bist:8'], "--override: method 'rtn' has no parameter 'bist'. Did you mean 'bits'?"],
    [
      [...compress, '--override', '*=bits:8,group-size:0'],
      '--override: groupSize must be a whole number from 1 to 1048576, or row or tensor',
    ],
    [[...compress, '--tensors', 'nothing.*'], 'nothing.*'],
    [['learn-bits', digits, '--out', 'out'], "'learn-bits' needs --data"],
    [[...learn, '--target-bits', '3', '--penalty', '1'], '--target-bits and --penalty cannot be combined.'],
    [[...learn, '--target-bits', 'few'], "--target-bits must be a number of 0 or more, got 'few'."],
    [
      [...learn, '--method', 'qat', '--target-bits', '3'],
      "Method 'qat' has fixed widths; --target-bits applies only to methods that learn them.",
    ],
    [[...learn, '--window', '8'], '--window applies only to training on text, but --data does not name a text file.'],
    [[...learn, '--format', 'archive,onx'], "--format must name one or more of hf, onnx, onnx-fast, onnx-packed, archive, got 'onx'."],
    [[...learn, '--max-bits', '99'], '--max-bits must be a number from 2 to 15'],
    [['inspect', model, '--tensor', 'nothing.*'], "No tensor of loom-base matches 'nothing.*'."],
    [['inspect', 'nowhere'], 'nowhere'],
    [['inspect', model, '--stats', '--max-memory', '1GB'], '--max-memory limits the reading of headers'],
    [['evaluate', model, '--text', 'nowhere.txt'], 'nowhere.txt'],
    [['evaluate', model], "'evaluate' needs --text FILE or --data DATA."],
    [['compare', model], "'compare' needs B: loomweight compare A B."],
    [['run', 'nowhere.loom.yaml'], 'nowhere.loom.yaml'],
  ])('%j', async (words, message) => {
    const { code, error } = await failure(words);
    expect(error.message).toContain(message);
    expect(code).toBe(2);
    expect(['invalid-argument', 'not-found']).toContain(error.code);
    expect(await readdir(folder)).toEqual([]);
  });

  test('without a command, the help is printed to stderr', async () => {
    const { code, stdout, stderr } = await cli.run([]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^Usage: loomweight COMMAND/m);
  });

  test('an output folder that is not empty is left unchanged', async () => {
    await mkdir(join(folder, 'out'));
    await writeFile(join(folder, 'out', 'mine.txt'), 'mine');
    const { code } = await failure(compress);
    expect(code).toBe(2);
    expect(await readdir(folder)).toEqual(['out']);
    expect(await readFile(join(folder, 'out', 'mine.txt'), 'utf8')).toBe('mine');
  });
});

describe('exit code 3: malformed or unsupported input', () => {
  test('a truncated file', async () => {
    const bytes = await readFile(join(model, 'model.safetensors'));
    await writeFile(join(folder, 'cut.safetensors'), bytes.subarray(0, 100_000));
    const { code, error } = await failure(['inspect', 'cut.safetensors']);
    expect([code, error.code]).toEqual([3, 'malformed-file']);
  });

  test('an empty file, a file of another kind, a header with wrong lengths', async () => {
    await writeFile(join(folder, 'empty.safetensors'), '');
    await writeFile(join(folder, 'text.onnx'), 'This is not a model.');
    await writeFile(join(folder, 'huge.safetensors'), Buffer.from([255, 255, 255, 255, 255, 255, 255, 127, 123, 125]));
    for (const name of ['empty.safetensors', 'text.onnx', 'huge.safetensors']) expect((await failure(['inspect', name])).code).toBe(3);
  });

  test('an architecture that cannot be run', async () => {
    await cp(model, join(folder, 'odd'), { recursive: true });
    const config = JSON.parse(await readFile(join(model, 'config.json'), 'utf8')) as Record<string, unknown>;
    await writeFile(
      join(folder, 'odd', 'config.json'),
      JSON.stringify({ ...config, architectures: ['OddForCausalLM'], model_type: 'odd' }),
    );
    const { code, error } = await failure(['evaluate', 'odd', '--text', text]);
    expect([code, error.code]).toEqual([3, 'unsupported']);
    expect(error.message).toContain('OddForCausalLM');
  });

  test('every error in a recipe is reported with its position before anything runs', async () => {
    await writeFile(
      join(folder, 'bad.loom.yaml'),
      `steps:\n  - kind: inspect\n    model: ${model}\n  - kind: inspct\n  - kind: inspect\n    modle: x\n`,
    );
    const { code, error } = await failure(['run', 'bad.loom.yaml']);
    expect(code).toBe(3);
    expect(error.message).toMatch(/bad\.loom\.yaml:4:11: kind must be one of .* Did you mean 'inspect'\? \(and 2 more\)$/);
    expect(error.details?.['findings']).toHaveLength(3);
  });
});

/** The bundled model with one weight of a down projection replaced by a float16 bit pattern. */
async function modelWithWeight(name: string, bits: number): Promise<void> {
  await cp(model, join(folder, name), { recursive: true });
  const file = join(folder, name, 'model.safetensors');
  const bytes = await readFile(file);
  const header = Number(bytes.readBigUInt64LE(0));
  const tensors = JSON.parse(bytes.toString('utf8', 8, 8 + header)) as Record<string, { readonly data_offsets: readonly [number, number] }>;
  const start = tensors['model.layers.0.mlp.down_proj.weight']?.data_offsets[0] as number;
  bytes.writeUInt16LE(bits, 8 + header + start + 10);
  await writeFile(file, bytes);
}

test('a NaN weight is malformed input, and the tensor is named', async () => {
  await modelWithWeight('nan', 0x7e00);
  const { code, error } = await failure(['compress', 'nan', ...compress.slice(2)]);
  expect(code).toBe(3);
  expect(error.message).toContain("Tensor 'model.layers.0.mlp.down_proj.weight' contains NaN at row 0, column 5");
  expect(await readdir(folder)).toEqual(['nan']);
});

describe('exit code 5: verification failed', () => {
  // One weight of 57,344 is exact in the file, but the runtime's kernels round activations to int8 beside it.
  const words = ['compress', 'outlier', '--method', 'rtn', '--bits', '8', '--format', 'onnx', '--out', 'out'];

  test('names the check and leaves no output', async () => {
    await modelWithWeight('outlier', 0x7b00);
    const { code, error } = await failure(words);
    expect([code, error.code]).toEqual([5, 'verification-failed']);
    expect(error.message).toMatch(/divergence-default: [\d.]+ nats, at most 0\.01 allowed/);
    expect(await readdir(folder)).toEqual(['outlier']);
  });

  test('--keep-failed keeps the output with the same exit code', async () => {
    await modelWithWeight('outlier', 0x7b00);
    const { code, stderr } = await cli.run([...words, '--keep-failed'], { cwd: folder });
    expect(code).toBe(5);
    expect(stderr).toMatch(/It was kept in .*out\.$/m);
    expect((await readdir(folder)).sort()).toEqual(['out', 'outlier']);
  });
});

describe('exit code 4: not enough memory', () => {
  test('is reported before the start with the shortfall, and nothing is written', async () => {
    const { code, error } = await failure([...compress, '--max-memory', '100MB']);
    expect([code, error.code]).toEqual([4, 'insufficient-memory']);
    expect(error.message).toMatch(/ too little\..* Nothing was started\.$/);
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('exit code 130: cancelled', () => {
  test.each(['SIGINT', 'SIGTERM'] as const)('%s during a run stops it and leaves nothing', async (signal) => {
    const child = cli.start([...compress, '--json'], { cwd: folder });
    const end = ended(child);
    // The first line on stderr is the first phase: the job runs.
    await new Promise<void>((resolve) => child.stderr?.once('data', () => resolve()));
    child.kill(signal);
    const { code, stdout } = await end;
    expect(code).toBe(130);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'cancelled' } });
    expect(await readdir(folder)).toEqual([]);
  });
});

test('the command ends quietly when its reader closes the pipe', async () => {
  const child = cli.start(['inspect', model, '--verbose', '--stats']);
  const end = ended(child);
  child.stdout?.destroy();
  const { code, stderr } = await end;
  expect(stderr).toBe('');
  expect(code).toBe(0);
});
