import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base } from 'vitest';
import { createRuntime } from '../../src/engine/runtime/runtime';
import type { Runtime } from '../../src/engine/runtime/types';

/** What a test can ask for by name; nothing is made for a test that does not ask. */
export interface Fixtures {
  /** An empty folder of the test's own, removed after it however it ends. */
  readonly folder: string;
  /** A runtime on the CPU with one thread, shared by the tests of a file and disposed after the last. */
  readonly runtime: Runtime;
}

/** `test` with a temporary folder and a runtime. */
export const test = base.extend<Fixtures>({
  // Vitest finds out what a fixture depends on from the pattern of its first parameter.
  // eslint-disable-next-line no-empty-pattern
  folder: async ({}, use) => {
    const folder = mkdtempSync(join(tmpdir(), 'loomweight-test-'));
    try {
      await use(folder);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  runtime: [
    // eslint-disable-next-line no-empty-pattern
    async ({}, use) => {
      const runtime = await createRuntime({ provider: 'cpu', threads: 1 });
      try {
        await use(runtime);
      } finally {
        await runtime.dispose();
      }
    },
    { scope: 'file' },
  ],
});
