import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CommandLine } from '../../support/commandLine';
import { killMany } from '../../support/kills/killMany';

// `npm run test:kills` does the same to hundreds of jobs (docs/benchmarks.md).
let line: CommandLine;
beforeAll(async () => {
  line = await CommandLine.build();
});
afterAll(() => line.remove());

test('jobs that are killed leave nothing that the next start does not remove', async () => {
  const counts = await killMany(line.script, join(__dirname, '..', '..', '..', 'media', 'samples'), 6, { seed: 1 });
  expect(counts.flatMap(({ leftOver }) => leftOver)).toEqual([]);
  expect(counts.reduce((sum, { kills }) => sum + kills, 0)).toBeGreaterThan(2);
}, 240_000);
