import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { stepKinds } from '../../../src/engine/jobs/index';
import { analyzeRecipe } from '../../../src/engine/recipe/analyzeRecipe';
import { checkRecipe } from '../../../src/engine/recipe/checkRecipe';
import { temporaryFolder } from '../../support/fixtures';

const folder = temporaryFolder();
const file = join(folder, 'r.loom.yaml');
mkdirSync(join(folder, 'model'));
writeFileSync(join(folder, 'text.txt'), 'text');

test('a step that writes a file stands for it where a file is required', async () => {
  const text =
    'steps:\n  - { kind: calibrate, name: written, model: model, source: text.txt, out: a.jsonl }\n' +
    '  - { kind: compress, model: model, budget: 3.5, calibration: written, out: o }\n';
  expect(await checkRecipe({ file, text }, stepKinds)).toEqual([]);
  expect(analyzeRecipe(file, text, stepKinds).steps.map(({ spec }) => spec)).toMatchObject([
    { kind: 'calibrate', source: join(folder, 'text.txt'), samples: 128, out: join(folder, 'a.jsonl') },
    { kind: 'compress', calibration: join(folder, 'a.jsonl') },
  ]);
});

test.each([
  [
    '{ kind: inspect, model: written }',
    /^Step 'written' \(calibrate\) does not write a model\. Name a step that does, an input or a path\.$/,
  ],
  ['{ kind: evaluate, model: model, text: other }', /^'other' does not exist/],
  ['{ kind: calibrate, model: model, out: a.jsonl }', /^Step 'written' writes to the same folder\./],
  ['{ kind: calibrate, model: model, out: a.jsonl/b.jsonl }', /^Step 'written' writes to .*a\.jsonl, which contains this folder/],
])('but not for a model, nor for two steps: %s', async (step, expected) => {
  const text = `steps:\n  - { kind: calibrate, name: written, model: model, out: a.jsonl }\n  - ${step}\n`;
  const found = await checkRecipe({ file, text }, stepKinds);
  expect(found.map(({ start, message }) => [start.line, message])).toEqual([[2, expect.stringMatching(expected)]]);
});
