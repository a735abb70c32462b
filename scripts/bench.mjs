// Runs a benchmark of test/benchmarks by name: `npm run bench NAME [-- arguments]`. Without a name it lists them.
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { bundleProgram } from './bundleProgram.mjs';
import { SetupError, ensurePackages, root } from './setup.mjs';

const folder = join(root, 'test', 'benchmarks');

async function main([name, ...args]) {
  const programs = (existsSync(folder) ? await readdir(folder) : []).filter((file) => /\.(mjs|ts)$/.test(file)).sort();
  const known = [...new Set(programs.map((file) => file.replace(/\.(mjs|ts)$/, '')))];
  const source = programs.find((file) => file === `${name}.ts`) ?? programs.find((file) => file === `${name}.mjs`);
  if (source === undefined) {
    console.log(`${name === undefined ? 'usage: npm run bench NAME [-- arguments]' : `bench: no benchmark "${name}".`}`);
    console.log(known.length > 0 ? `benchmarks: ${known.join(', ')}` : 'There are no benchmarks in test/benchmarks.');
    return name === undefined ? 0 : 2;
  }
  ensurePackages();
  await mkdir(join(root, '.tmp'), { recursive: true });
  const temporary = await mkdtemp(join(root, '.tmp', 'bench-'));
  try {
    const program = await bundleProgram(join(folder, source), temporary);
    const { status } = spawnSync(process.execPath, [program, ...args], { stdio: 'inherit', cwd: root });
    return status ?? 1;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

try {
  process.exitCode = await main(process.argv.slice(2).filter((word) => word !== '--'));
} catch (error) {
  console.error(error instanceof SetupError ? error.message : error);
  process.exitCode = 1;
}
