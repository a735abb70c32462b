import { defineConfig } from 'vitest/config';
import { fileURLToPath } from 'node:url';

/** Tests in a real VS Code: one file after the other, for each starts a server and a browser of its own. */
export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 180_000,
    include: ['test/ui/**/*.test.ts'],
    exclude: ['**/node_modules/**'],
  },
});
