import { expect, test } from 'vitest';
import { nearest } from '../../../src/common/nearest';
import { stepKinds } from '../../../src/engine/jobs';
import { checkRecipe } from '../../../src/engine/recipe/checkRecipe';

const check = (text: string) => checkRecipe({ file: '/nowhere/busy.loom.yaml', text }, stepKinds);

test.for<readonly [string, string, RegExp]>([
  ['commas', `[${','.repeat(256 * 1024 - 100)}]`, /at most 20000 commas and opening brackets, but this one has 262045/],
  ['nested lists', `${'['.repeat(90)}${']'.repeat(90)}\n`.repeat(1400), /commas and opening brackets/],
  ['lines', '-\n'.repeat(100_000), /at most 20000 lines, but this one has 100001/],
])('a text of many %s is refused before it is parsed', async ([, text, words]) => {
  const started = process.cpuUsage();
  const findings = await check(text);
  expect(process.cpuUsage(started).user / 1000).toBeLessThan(1000);
  expect(findings).toMatchObject([{ severity: 'error', message: expect.stringMatching(words) as string }]);
});

test('thousands of steps whose models are missing are checked in a time near linear in their number', async () => {
  const recipe = (count: number): string =>
    `steps:\n${Array.from({ length: count }, (_, index) => `  - { kind: compress, name: step-${index}, model: stop-${index}, method: rtn, out: o/${index} }\n`).join('')}`;
  const time = async (count: number): Promise<number> => {
    const text = recipe(count);
    const started = process.cpuUsage();
    const findings = await check(text);
    expect(findings.filter(({ message }) => /does not exist/.test(message))).toHaveLength(count);
    expect(findings.filter(({ message }) => /Did you mean 'step-\d+'/.test(message))).toHaveLength(Math.min(100, count));
    return process.cpuUsage(started).user / 1000;
  };
  await time(50);
  const few = await time(400);
  // Six times the steps: quadratic would take 36 times as long.
  expect(await time(2400)).toBeLessThan(18 * Math.max(100, few));
}, 120_000);

test('the nearest word is that of the smallest distance, as by comparing with all', () => {
  const words = ['bits', 'bit', 'budget', 'groupSize', 'tensors', 'overrides', 'embeddings', 'head', 'format', 'out'];
  const distance = (a: string, b: string): number => {
    const table = Array.from({ length: a.length + 1 }, (_, row) =>
      Array.from({ length: b.length + 1 }, (_, column) => (row === 0 ? column : column === 0 ? row : 0)),
    );
    for (let row = 1; row <= a.length; row += 1)
      for (let column = 1; column <= b.length; column += 1) {
        const same = a[row - 1] === b[column - 1] ? 0 : 1;
        let least = Math.min(table[row - 1]![column]! + 1, table[row]![column - 1]! + 1, table[row - 1]![column - 1]! + same);
        if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1])
          least = Math.min(least, table[row - 2]![column - 2]! + 1);
        table[row]![column] = least;
      }
    return table[a.length]![b.length]!;
  };
  for (const word of words)
    for (let cut = 0; cut < word.length; cut += 1)
      for (const typed of [
        word.slice(0, cut) + word.slice(cut + 1),
        `${word.slice(0, cut)}x${word.slice(cut)}`,
        `${word.slice(0, cut)}xy${word.slice(cut + 1)}`,
      ]) {
        const allowed = Math.max(typed.length > 1 ? 1 : 0, Math.floor(typed.length / 3));
        const best = Math.min(...words.map((each) => distance(typed.toLowerCase(), each.toLowerCase())));
        const expected = best <= allowed ? words.find((each) => distance(typed.toLowerCase(), each.toLowerCase()) === best) : undefined;
        if (expected !== undefined) expect([typed, nearest(typed, words)]).toEqual([typed, expected]);
      }
});
