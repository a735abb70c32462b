import { build } from 'esbuild';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** Bundles a TypeScript entry (path from the repository's root) as the build does, into a new temporary folder. Gives the script's path. */
export async function bundleForNode(entry: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'loomweight-bundle-'));
  const outfile = join(folder, 'main.js');
  await build({
    entryPoints: [resolve(entry)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    external: ['onnxruntime-node'],
    logLevel: 'error',
  });
  return outfile;
}
