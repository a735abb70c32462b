import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRuntime } from '../../../src/engine/runtime/runtime';
import type { Runtime } from '../../../src/engine/runtime/types';
import { digitsSpec, trainWith } from '../../support/trainDigits';

let runtime: Runtime;
beforeAll(async () => {
  runtime = await createRuntime({ provider: 'cpu', threads: 1 });
});
afterAll(() => runtime.dispose());

test('a small network learns the digits from scratch', async () => {
  const result = await trainWith(digitsSpec(), runtime);
  expect(result.mode).toBe('loop');
  expect(result.evaluations.at(-1)?.metric).toBe('accuracy');
  expect(result.evaluations.at(-1)?.value).toBeGreaterThan(0.9);
  expect(result.curve[0]?.loss).toBeGreaterThan(result.curve.at(-1)?.loss as number);
});
