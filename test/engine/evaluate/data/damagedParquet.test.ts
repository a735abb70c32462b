import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { buildSync } from 'esbuild';
import { beforeAll, expect } from 'vitest';
import { SeededRandom } from '../../../../src/common/random';
import { readTable } from '../../../../src/engine/evaluate/data/readTable';
import { parquetFacts } from '../../../../src/engine/evaluate/data/parquetRows';
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
  const there = await parquetInOwnProcess(sound, script);
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
  const rows = await parquetInOwnProcess(lists, script);
  expect(rows.length).toBe(12_000);
  for (const at of [0, 1, 4095, 4096, 11_999]) {
    const digit = BigInt(at % 10);
    expect(rows[at]).toEqual({ x: new Array(784).fill(digit), label: digit, name: `row ${at % 3}` });
  }
});

test('a table that needs more memory than allowed is not said to be damaged for certain', async () => {
  const aborting = join(folder, 'aborting.js');
  writeFileSync(aborting, "process.once('message', () => process.abort());");
  const failure = await parquetInOwnProcess(sound, aborting).catch((error: unknown) => error);
  expect(LoomweightError.is(failure, 'unsupported')).toBe(true);
  expect((failure as Error).message).toMatch(/needs more memory \(\d+ MiB\).*\.npy/);
});

test('a file that crashed the engine is refused', async () => {
  const crashing = resolve('test/fixtures/cases/attack/parquet-crash.parquet');
  const failure = await parquetInOwnProcess(crashing, script).catch((error: unknown) => error);
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
    const result = await parquetInOwnProcess(file, script).catch((error: unknown) => error);
    if (result instanceof Error) refused += 1;
    expect(Date.now() - started).toBeLessThan(90_000);
  }
  expect(refused).toBeGreaterThan(3);
});

test('a decoder that dies takes nothing with it and names the file', async () => {
  const dying = join(folder, 'dying.js');
  writeFileSync(dying, "process.once('message', () => process.kill(process.pid, 'SIGSEGV'));");
  const failure = await parquetInOwnProcess(sound, dying).catch((error: unknown) => error);
  expect(LoomweightError.is(failure, 'malformed-file')).toBe(true);
  const throwing = join(folder, 'throwing.js');
  writeFileSync(throwing, "process.once('message', () => { Promise.reject(new Error('late')); });");
  expect(LoomweightError.is(await parquetInOwnProcess(sound, throwing).catch((error: unknown) => error), 'malformed-file')).toBe(true);
  const hungry = join(folder, 'hungry.js');
  writeFileSync(hungry, "process.once('message', () => { const kept = []; setInterval(() => kept.push(Buffer.alloc(1e8, 1)), 5); });");
  const tooMuch = await parquetInOwnProcess(sound, hungry).catch((error: unknown) => error);
  expect((tooMuch as Error).message).toMatch(/MiB|out of memory/);
});
