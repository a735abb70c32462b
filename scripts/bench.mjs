// Runs a benchmark of test/benchmarks by name: `npm run bench NAME [-- arguments]`. Without a name it lists them.
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram, runScript } from './bundleProgram.mjs';
import { root } from './setup.mjs';

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
  return runProgram(join(folder, source), args);
}

await runScript(main);
