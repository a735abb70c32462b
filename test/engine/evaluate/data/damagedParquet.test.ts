import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { buildSync } from 'esbuild';
import { beforeAll, describe, expect } from 'vitest';
import { formatBytes } from '../../../../src/common/units';
import { SeededRandom } from '../../../../src/common/random';
import { readTable } from '../../../../src/engine/evaluate/data/readTable';
import { parquetFacts } from '../../../../src/engine/evaluate/data/parquetRows';
import { estimateLearn } from '../../../../src/engine/compress/learned/estimateLearn';
import { estimateEvaluate } from '../../../../src/engine/evaluate/estimateEvaluate';
import { tableMemory } from '../../../../src/engine/evaluate/data/tableMemory';
import { completeLearnSpec } from '../../../../src/protocol/learnDefaults';
import { parquetInOwnProcess, tableLimits } from '../../../../src/engine/evaluate/data/tableProcess';
import { LoomweightError } from '../../../../src/protocol/errors';
import { temporaryFolder, test } from '../../../support/fixtures';

const sound = resolve('test/fixtures/tables/digits-test.parquet');
const folder = temporaryFolder();
let script: string;
beforeAll(() => {
  script = join(folder, 'table.js');
  buildSync({ entryPoints: ['src/engine/table.ts'], bundle: true, platform: 'node', format: 'cjs', target: 'node20', outfile: script });
});

test('the process gives the rows that decoding here gives', async () => {
  const here = await readTable(sound);
  const there = await parquetInOwnProcess(sound, { script });
  expect(there).toEqual(here.rows);
  expect(there.length).toBeGreaterThan(100);
});

test('lists in cells count with every entry, in the facts and in the limits', { timeout: 300_000 }, async () => {
  // 12,000 rows: a list of 784 int64, all equal to the row's number modulo 10; that number as `label`; a text. Packed 10,000 times.
  const lists = resolve('test/fixtures/tables/lists.parquet');
  const facts = await parquetFacts(lists);
  expect(facts).toMatchObject({ rows: 12_000, columns: 3, values: 12_000 * (784 + 2) });
  // 24 bytes for each integer and 8 for its place in a list.
  expect(tableLimits(facts, 6886).heap).toBeGreaterThan(2 * 32 * 12_000 * 784);
  const rows = await parquetInOwnProcess(lists, { script });
  expect(rows.length).toBe(12_000);
  for (const at of [0, 1, 4095, 4096, 11_999]) {
    const digit = BigInt(at % 10);
    expect(rows[at]).toEqual({ x: new Array(784).fill(digit), label: digit, name: `row ${at % 3}` });
  }
});

test('a table that needs more memory than allowed is not said to be damaged for certain', async () => {
  const aborting = join(folder, 'aborting.js');
  writeFileSync(aborting, "process.once('message', () => process.abort());");
  const failure = await parquetInOwnProcess(sound, { script: aborting }).catch((error: unknown) => error);
  expect(LoomweightError.is(failure, 'unsupported')).toBe(true);
  expect((failure as Error).message).toMatch(/needs more memory \(\d+ MiB\).*\.npy/);
});

describe('the memory limit of a job', () => {
  const lists = resolve('test/fixtures/tables/lists.parquet');

  test('holds for the process that decodes a table together with the job itself', { timeout: 120_000 }, async () => {
    const memoryLimit = process.memoryUsage.rss() + 300e6;
    const failure = await parquetInOwnProcess(lists, { script, memoryLimit }).catch((error: unknown) => error);
    expect(LoomweightError.is(failure, 'insufficient-memory')).toBe(true);
    // The limit itself, as it was given, and no flag that may not have been.
    expect((failure as Error).message).toContain(`more memory than the job's limit of ${formatBytes(memoryLimit)} plus 10 %: `);
    expect((failure as Error).message).toMatch(/12000 rows with 9432000 values.*Raise the limit or free memory, .*\.npy/);
    expect((failure as Error).message).not.toContain('--max-memory');
    expect((failure as LoomweightError).details).toMatchObject({ limit: memoryLimit });
    // A table that fits is read, under a limit too.
    expect((await parquetInOwnProcess(sound, { script, memoryLimit })).length).toBe(360);
  });

  test('below what any process takes nothing is started', async () => {
    const never = join(folder, 'never.js');
    writeFileSync(never, `require('node:fs').writeFileSync(${JSON.stringify(join(folder, 'started'))}, '');`);
    const failure = await parquetInOwnProcess(sound, { script: never, memoryLimit: 1e6 }).catch((error: unknown) => error);
    expect(LoomweightError.is(failure, 'insufficient-memory')).toBe(true);
    expect(existsSync(join(folder, 'started'))).toBe(false);
  });

  // Peaks of both processes together, less what this one took before, by their resident sizes every 20 ms (x64 Linux, Node 20).
  test.each([
    ['lists.parquet', 800e6],
    ['digits-test.parquet', 60e6],
  ])('is compared with what reading takes, from the footer: %s', async (name, measured) => {
    const bytes = await tableMemory(resolve('test/fixtures/tables', name));
    expect(bytes / measured).toBeGreaterThan(0.9);
    expect(bytes / measured).toBeLessThan(measured > 1e8 ? 1.5 : 2);
  });

  test('a job that would read such a table is refused before it starts', async () => {
    const model = resolve('media/samples/digits/digits-mlp.onnx');
    const spec = { kind: 'evaluate', model, data: lists, split: 'test' } as const;
    const { hostMemoryBytes, notes } = await estimateEvaluate(spec, { provider: 'cpu', memoryLimit: undefined });
    expect(hostMemoryBytes).toBeGreaterThan(800e6);
    expect(notes.join()).toMatch(/Reading the table takes about [\d.]+ (?:MiB|GiB) with the process that decodes it/);
    const learning = await estimateLearn(completeLearnSpec({ model, data: lists, out: join(folder, 'out') }, true));
    expect(learning.hostMemoryBytes).toBeGreaterThan(800e6);
    expect(await tableMemory(resolve('media/samples/digits/data'))).toBe(0);
    expect(await tableMemory(resolve('package.json'))).toBe(0);
  });
});

test('a file that crashed the engine is refused', async () => {
  const crashing = resolve('test/fixtures/cases/attack/parquet-crash.parquet');
  const failure = await parquetInOwnProcess(crashing, { script }).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(Error);
});

test('damage anywhere ends in an error or in rows, in bounded time and memory', { timeout: 300_000 }, async () => {
  const bytes = readFileSync(sound);
  const random = new SeededRandom(20);
  const file = join(folder, 'damaged.parquet');
  let refused = 0;
  for (let round = 0; round < 40; round += 1) {
    const damaged = Buffer.from(bytes);
    for (let hit = 0; hit < 1 + (round % 4); hit += 1) {
      // Half of the hits go to the footer, whose counts the decoder trusts.
      const from = round % 2 === 0 ? damaged.length - 6000 : 4;
      const at = Math.max(
        4,
        Math.min(damaged.length - 5, from + Math.floor(random.next() * (round % 2 === 0 ? 5990 : damaged.length - 10))),
      );
      damaged[at] = Math.floor(random.next() * 256);
    }
    writeFileSync(file, damaged);
    const started = Date.now();
    const result = await parquetInOwnProcess(file, { script }).catch((error: unknown) => error);
    if (result instanceof Error) refused += 1;
    expect(Date.now() - started).toBeLessThan(90_000);
  }
  expect(refused).toBeGreaterThan(3);
});

test('a decoder that dies takes nothing with it and names the file', async () => {
  const dying = join(folder, 'dying.js');
  writeFileSync(dying, "process.once('message', () => process.kill(process.pid, 'SIGSEGV'));");
  const failure = await parquetInOwnProcess(sound, { script: dying }).catch((error: unknown) => error);
  expect(LoomweightError.is(failure, 'malformed-file')).toBe(true);
  const throwing = join(folder, 'throwing.js');
  writeFileSync(throwing, "process.once('message', () => { Promise.reject(new Error('late')); });");
  expect(
    LoomweightError.is(await parquetInOwnProcess(sound, { script: throwing }).catch((error: unknown) => error), 'malformed-file'),
  ).toBe(true);
  const hungry = join(folder, 'hungry.js');
  writeFileSync(hungry, "process.once('message', () => { const kept = []; setInterval(() => kept.push(Buffer.alloc(1e8, 1)), 5); });");
  const tooMuch = await parquetInOwnProcess(sound, { script: hungry }).catch((error: unknown) => error);
  expect((tooMuch as Error).message).toMatch(/MiB|out of memory/);
});
