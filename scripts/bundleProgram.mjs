import { join } from 'node:path';

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
