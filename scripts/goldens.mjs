// `npm run test:goldens`: every golden vector in the folder named by LOOMWEIGHT_GOLDENS (default: test/golden/peers) against what the product computes.
// The last line is "N passed, N failed, N skipped"; a file whose method is not built is skipped and named. Exit code 1 where anything failed.
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { bundleProgram } from './bundleProgram.mjs';
import { SetupError, ensurePackages, root } from './setup.mjs';

async function main() {
  ensurePackages();
  const folder = resolve(process.env.LOOMWEIGHT_GOLDENS || join(root, 'test', 'golden', 'peers'));
  await mkdir(join(root, '.tmp'), { recursive: true });
  const temporary = await mkdtemp(join(root, '.tmp', 'goldens-'));
  try {
    const program = await bundleProgram(join(root, 'test', 'support', 'goldens', 'main.ts'), temporary);
    const { status } = spawnSync(process.execPath, [program, folder], { stdio: 'inherit', cwd: root });
    return status ?? 1;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof SetupError ? error.message : error);
  console.log('0 passed, 1 failed, 0 skipped');
  process.exitCode = 1;
}
