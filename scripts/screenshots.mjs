// Takes the pictures of docs/images in a real VS Code: `npm run screenshots`.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { SetupError, ensurePackages, ensureUiTools, root } from './setup.mjs';

/** Runs a Node script of the project with its output shown; throws when it fails. */
function run(script, args) {
  const { status } = spawnSync(process.execPath, [join(root, script), ...args], { cwd: root, stdio: 'inherit' });
  if (status !== 0) {
    throw new SetupError(`screenshots: ${script} ended with exit code ${status}.`);
  }
}

try {
  ensurePackages();
  ensureUiTools();
  run('scripts/package.mjs', []);
  run('node_modules/vitest/vitest.mjs', ['run', '--config', 'test/ui/screenshots.config.mjs']);
} catch (error) {
  console.error(error instanceof SetupError ? error.message : error);
  process.exitCode = 1;
}
