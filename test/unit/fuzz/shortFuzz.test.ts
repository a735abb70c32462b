import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { beforeAll, expect, test } from 'vitest';
import { LoomweightError } from '../../../src/protocol/errors';
import { corpusOf } from '../../fuzz/corpus';
import { fuzz } from '../../fuzz/fuzz';
import { fuzzedReaders } from '../../fuzz/readers';
import { propertySeed } from '../../support/propertySeed';
import { temporaryFolder } from '../../support/fixtures';

const folder = temporaryFolder();
const inputs = 250;
const tableScript = join(folder, 'table.js');
const readers = await fuzzedReaders(folder, join('test', 'fixtures'), tableScript);
beforeAll(() => {
  buildSync({
    entryPoints: ['src/engine/table.ts'],
    outfile: tableScript,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
  });
});

test.each(readers.map((reader) => [reader.name, reader] as const))(
  'the reader of %s refuses damaged inputs by a sentence, past crashes included',
  { timeout: 300_000 },
  async (name, reader) => {
    const corpus = corpusOf(join('test', 'fuzz', 'corpus'), name);
    const counts = await fuzz(reader, corpus, propertySeed, (done) => done >= corpus.length + inputs);
    expect(counts.findings.map(({ why }) => why)).toEqual([]);
    expect(counts.refused).toBeGreaterThan(inputs / 20);
  },
);

test('what breaks the promise is found: raw exceptions, and nothing that is said on purpose', async () => {
  const throwing = (error: unknown) => ({ name: 'x', seeds: [Buffer.from('abc')], read: () => Promise.reject(error as Error) });
  const found = async (error: unknown) => (await fuzz(throwing(error), [], 1, (done) => done >= 3)).findings.length;
  expect(await found(new TypeError('a is not a function'))).toBe(3);
  expect(await found(new RangeError('Invalid array length'))).toBe(3);
  expect(await found(new LoomweightError('malformed-file', 'damaged'))).toBe(0);
});
