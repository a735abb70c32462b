import { defineConfig } from 'vitest/config';

/** Unit, engine, webview and package tests. The tests in a real VS Code have a runner of their own (test/ui). */
export default defineConfig({
  test: {
    // Native sessions must never share a process with another test file; two files at a time fit two cores.
    pool: 'forks',
    // For libraries in tests that bring ONNX Runtime themselves; the product sets it where it loads the runtime.
    env: { ORT_DISABLE_TELEMETRY: '1' },
    poolOptions: { forks: { maxForks: 2 } },
    testTimeout: 60_000,
    hookTimeout: 60_000,
    include: ['test/{unit,engine,webview,package,cases}/**/*.test.ts'],
  },
});
