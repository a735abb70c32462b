import { defineConfig } from 'vitest/config';
import { fileURLToPath } from 'node:url';

/** Tests in a real VS Code: one file after the other, for each starts a server and a browser of its own. */
export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    pool: 'forks',
    // For libraries in tests that bring ONNX Runtime themselves; the product sets it where it loads the runtime.
    env: { ORT_DISABLE_TELEMETRY: '1' },
    fileParallelism: false,
    // These limits only end what hangs: a test may take several times as long on a busy machine.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // The workbench takes the focus and draws its lists whenever it gets to it. What fails twice has failed; the report marks what passed at the second try.
    retry: 1,
    include: ['test/ui/**/*.test.ts'],
    exclude: ['**/node_modules/**'],
  },
});
