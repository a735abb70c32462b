import { mkdtempSync, mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { learnKind } from '../../../src/engine/jobs/learn';
import { continueStep } from '../../../src/engine/recipe/continueStep';
import type { StepKind } from '../../../src/engine/jobs/stepKind';
import { completeLearnSpec } from '../../../src/protocol/learnDefaults';

test('a checkpoint that a step has left: resumed or deleted as the recipe is run, else left to the step to refuse', () => {
  const folder = mkdtempSync(join(tmpdir(), 'loomweight-continue-'));
  try {
    const spec = completeLearnSpec({ model: '/m.onnx', data: '/data', out: join(folder, 'learned') }, true);
    const step = { kind: learnKind as unknown as StepKind, spec };
    const run = { kind: 'recipe' as const, recipe: 'x.loom.yaml' };
    expect(continueStep(step, { ...run, resume: true })).toBe(spec);
    mkdirSync(join(folder, 'learned.checkpoint'));
    expect(continueStep(step, run)).toBe(spec);
    expect(continueStep(step, { ...run, resume: true })).toEqual({ ...spec, resume: true });
    expect(continueStep(step, { ...run, startOver: true })).toEqual({ ...spec, startOver: true });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
