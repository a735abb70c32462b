// Writes what is derived from the code: docs/methods.md, docs/command-line.md, docs/recipes.md and media/loom.schema.json.
// With --check nothing is written; the exit code is 1 where a file is stale.
import { build } from 'esbuild';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The generated files by path, made from the sources as they are now. */
export async function generateDocs() {
  const folder = await mkdtemp(join(tmpdir(), 'loomweight-docs-'));
  try {
    const outfile = join(folder, 'docs.cjs');
    await build({
      absWorkingDir: root,
      entryPoints: ['src/cli/documentation.ts'],
      bundle: true,
      platform: 'node',
      format: 'cjs',
      target: 'node20',
      outfile,
      external: ['onnxruntime-node'],
      logLevel: 'warning',
    });
    return createRequire(import.meta.url)(outfile).generatedFiles();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function main() {
  const check = process.argv.includes('--check');
  let stale = 0;
  for (const [path, text] of Object.entries(await generateDocs())) {
    const file = join(root, path);
    const current = await readFile(file, 'utf8').catch(() => undefined);
    if (current === text) continue;
    stale += 1;
    if (check) {
      console.error(`${path} is stale: run "npm run docs".`);
      continue;
    }
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
    console.log(`wrote ${relative(process.cwd(), file)}`);
  }
  if (check && stale > 0) process.exitCode = 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
