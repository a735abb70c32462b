import Ajv from 'ajv';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { stepKinds } from '../../../src/engine/jobs/index';
import type { StepKind } from '../../../src/engine/jobs/stepKind';
import { checkRecipe } from '../../../src/engine/recipe/checkRecipe';
import { recipeJsonSchema } from '../../../src/engine/recipe/jsonSchema';
import { temporaryFolder } from '../../support/fixtures';

const folder = temporaryFolder();

/** The shipped kinds, with one more compression method: it needs statistics of calibration text. */
const kinds = stepKinds.map((kind): StepKind => {
  const rtn = kind.methods?.().find(({ id }) => id === 'rtn');
  if (kind.id !== 'compress' || !rtn) return kind;
  const methods = [...(kind.methods?.() ?? []), { ...rtn, id: 'calibrated', needs: ['gram'] }];
  // Completion looks the method up among those that ship.
  return { ...kind, methods: () => methods, complete: (values) => values };
});

test.each([
  ['method: calibrated', true],
  ['method: calibrated, calibration: random', true],
  ['budget: 3.5, calibration: random', true],
  ['method: rtn, calibration: random', false],
  ['method: calibrated, sensitivity: error', false],
])('compress with { %s }: %s', async (fields, sound) => {
  const file = join(folder, 'model.safetensors');
  writeFileSync(file, '');
  const text = `steps:\n  - { kind: compress, model: model.safetensors, ${fields}, out: out }\n`;
  const problems = await checkRecipe({ file: join(folder, 'r.loom.yaml'), text }, kinds);
  expect(problems.map(({ message }) => message)).toEqual(
    sound ? [] : [expect.stringMatching(/^(calibration|sensitivity) requires budget/)],
  );
  expect(new Ajv({ strict: false }).compile(recipeJsonSchema(kinds))(parse(text))).toBe(sound);
});
