// `npm run fuzz -- --minutes 10`: mutated inputs for every reader of files (test/fuzz). Counts as JSON on stdout, findings in .tmp/fuzz.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { bundleProgram } from './bundleProgram.mjs';
import { SetupError, ensurePackages, root } from './setup.mjs';

try {
  ensurePackages();
  await mkdir(join(root, '.tmp'), { recursive: true });
  const temporary = await mkdtemp(join(root, '.tmp', 'fuzz-program-'));
  try {
    const { build } = await import('esbuild');
    const table = {
      entryPoints: [join(root, 'src/engine/table.ts')],
      outfile: join(temporary, 'table.js'),
      bundle: true,
      platform: 'node',
      format: 'cjs',
    };
    await build({ ...table, target: 'node20', logLevel: 'warning' });
    const program = await bundleProgram(join(root, 'test', 'fuzz', 'main.ts'), temporary);
    const words = process.argv.slice(2).filter((word) => word !== '--');
    const { status } = spawnSync(process.execPath, [program, ...words], { stdio: 'inherit', cwd: root });
    process.exitCode = status ?? 1;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
