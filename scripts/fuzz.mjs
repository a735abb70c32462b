// `npm run fuzz -- --minutes 10`: mutated inputs for every reader of files (test/fuzz). Counts as JSON on stdout, findings in .tmp/fuzz.
import { join } from 'node:path';
import { runProgram, runScript } from './bundleProgram.mjs';
import { root } from './setup.mjs';

/** The program that decodes Parquet tables, which the fuzz runs as the engine does. */
async function bundleTable(folder) {
  const { build } = await import('esbuild');
  await build({
    entryPoints: [join(root, 'src/engine/table.ts')],
    outfile: join(folder, 'table.js'),
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    logLevel: 'warning',
  });
}

await runScript((words) => runProgram(join(root, 'test', 'fuzz', 'main.ts'), words, bundleTable));
