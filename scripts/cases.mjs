// `npm run test:cases`: inputs from use and attack against the outcomes that are right (test/cases/outcomes.ts).
// LOOMWEIGHT_CASES names a folder with `files` and `attack` (default: test/fixtures/cases); further words go to vitest, such as -t q1.
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { SetupError, ensurePackages, root } from './setup.mjs';

try {
  ensurePackages();
  const folder = resolve(process.env.LOOMWEIGHT_CASES || join(root, 'test', 'fixtures', 'cases'));
  const words = [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', 'test/cases', ...process.argv.slice(2)];
  const { status } = spawnSync(process.execPath, words, { stdio: 'inherit', cwd: root, env: { ...process.env, LOOMWEIGHT_CASES: folder } });
  process.exitCode = status ?? 1;
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
