import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, test as base } from 'vitest';
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

/** An empty folder for all tests of a file and their helpers, removed after the last; called at the top of the file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'loomweight-test-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A runtime on the CPU for all tests of a file and their helpers, disposed after the last; called at the top of the file. */
export async function openRuntime(threads = 1): Promise<Runtime> {
  const runtime = await createRuntime({ provider: 'cpu', threads });
  afterAll(() => runtime.dispose());
  return runtime;
}
