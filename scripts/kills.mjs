// `npm run test:kills -- [--count 300] [--seed 0]`: kills jobs of all kinds at random times and looks for what the next start leaves (Linux).
// The last line is "N kills, N left over"; exit code 1 where anything is left.
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bundleProgram } from './bundleProgram.mjs';
import { ensurePackages, root } from './setup.mjs';

const { values } = parseArgs({ options: { count: { type: 'string', default: '300' }, seed: { type: 'string', default: '0' } } });
ensurePackages();
spawnSync(process.execPath, [join(root, 'scripts', 'build.mjs')], { stdio: 'inherit', cwd: root });
await mkdir(join(root, '.tmp'), { recursive: true });
const temporary = await mkdtemp(join(root, '.tmp', 'kills-'));
try {
  const program = await bundleProgram(join(root, 'test', 'support', 'kills', 'main.ts'), temporary);
  const words = [program, join(root, 'dist', 'cli.js'), join(root, 'media', 'samples'), values.count, values.seed];
  process.exitCode = spawnSync(process.execPath, words, { stdio: 'inherit', cwd: root }).status ?? 1;
} finally {
  await rm(temporary, { recursive: true, force: true });
}
