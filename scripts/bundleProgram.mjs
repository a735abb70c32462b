import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SetupError, ensurePackages, root } from './setup.mjs';

/**
 * Bundles a program written in TypeScript (it imports engine code), so that plain Node can run it. The bundle is inside the
 * project, because ONNX Runtime is found through node_modules from there.
 */
export async function bundleProgram(source, temporary) {
  const { build } = await import('esbuild');
  const outfile = join(temporary, 'program.mjs');
  await build({
    entryPoints: [source],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external: ['onnxruntime-node', 'vscode'],
    banner: {
      js: [
        "import { createRequire as makeRequire } from 'node:module';",
        "import { dirname as folderOf } from 'node:path';",
        "import { fileURLToPath as toPath } from 'node:url';",
        'const require = makeRequire(import.meta.url);',
        'const __filename = toPath(import.meta.url);',
        'const __dirname = folderOf(__filename);',
      ].join(' '),
    },
    logLevel: 'warning',
  });
  return outfile;
}

/**
 * Installs packages if need be, bundles a program and runs it with the words given. `prepare` is called first, with the folder of the bundle. Gives the exit code; the
 * folder is removed however it ends.
 */
export async function runProgram(source, words, prepare) {
  ensurePackages();
  await mkdir(join(root, '.tmp'), { recursive: true });
  const temporary = await mkdtemp(join(root, '.tmp', 'program-'));
  try {
    await prepare?.(temporary);
    return await runNode([await bundleProgram(source, temporary), ...words]);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Runs Node in the project; gives the exit code, 1 for a process that was ended by a signal. */
export function runNode(words) {
  return spawnSync(process.execPath, words, { stdio: 'inherit', cwd: root }).status ?? 1;
}

/** Sets the exit code of a script to what `main` gives. What the set-up lacks is printed as a sentence; `lastLine` follows any error. */
export async function runScript(main, lastLine) {
  try {
    process.exitCode = await main(process.argv.slice(2).filter((word) => word !== '--'));
  } catch (error) {
    console.error(error instanceof SetupError ? error.message : error);
    if (lastLine !== undefined) console.log(lastLine);
    process.exitCode = 1;
  }
}
