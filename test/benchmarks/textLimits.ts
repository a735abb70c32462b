/**
 * Time against the number of columns of a table, of letters of a name under a filter, of letters of a text to tokenise and of steps of a recipe: all near linear. Prints JSON: the size, and
 * the best of rounds in milliseconds.
 * Usage: npm run bench textLimits [-- --rounds 3]
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { globMatcher } from '../../src/common/glob';
import { readTable } from '../../src/engine/evaluate/data/readTable';
import { stepKinds } from '../../src/engine/jobs';
import { checkRecipe } from '../../src/engine/recipe/checkRecipe';
import { Encoder } from '../../src/engine/text/encoding/encoder';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '3' } } });
const rounds = Number(values.rounds);

/** Best time of the rounds for each size, in milliseconds. */
async function times(sizes: readonly number[], prepare: (size: number) => Promise<() => unknown> | (() => unknown)) {
  const found: [number, number][] = [];
  for (const size of sizes) {
    const run = await prepare(size);
    let best = Infinity;
    for (let round = 0; round < rounds; round += 1) {
      const started = performance.now();
      await run();
      best = Math.min(best, performance.now() - started);
    }
    found.push([size, Math.round(best * 10) / 10]);
  }
  return found;
}

const folder = await mkdtemp(join(tmpdir(), 'loomweight-bench-'));
const numbered = (count: number, text: (index: number) => string, between: string) =>
  Array.from({ length: count }, (_, index) => text(index)).join(between);
const encoder = new Encoder({ model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: ['a b'] } });
try {
  const measured = {
    columnsOfTable: await times([25_000, 50_000, 100_000, 200_000], async (columns) => {
      const file = join(folder, `${columns}.csv`);
      await writeFile(file, `${numbered(columns, (index) => `c${index}`, ',')}\n${numbered(columns, () => '1', ',')}\n`);
      return () => readTable(file);
    }),
    lettersUnderFilter: await times([100_000, 400_000, 1_600_000], (letters) => {
      const matches = globMatcher('*a*b');
      const name = 'a'.repeat(letters);
      return () => matches(name);
    }),
    lettersOfOneWord: await times([100_000, 400_000, 1_600_000], (letters) => {
      const text = 'ab'.repeat(letters / 2);
      return () => encoder.encode(text);
    }),
    stepsWithMissingModels: await times([600, 1200, 2400], (steps) => {
      const text = `steps:\n${numbered(steps, (index) => `  - { kind: compress, name: step-${index}, model: stop-${index}, method: rtn, out: o/${index} }\n`, '')}`;
      return () => checkRecipe({ file: join(folder, 'busy.loom.yaml'), text }, stepKinds);
    }),
  };
  console.log(JSON.stringify(measured));
} finally {
  await rm(folder, { recursive: true, force: true });
}
