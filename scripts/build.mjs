// Bundles every target into dist/: extension, engine and command line for Node, one script per webview.
// Entry points are found by place, so that a new panel needs no line here. Type checks are apart (npm run typecheck).
import { build } from 'esbuild';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const production = process.argv.includes('--production');
const root = new URL('..', import.meta.url).pathname;
const dist = join(root, 'dist');

const shared = {
  absWorkingDir: root,
  bundle: true,
  metafile: true,
  minify: production,
  keepNames: production,
  sourcemap: production ? false : 'linked',
  logLevel: 'warning',
};
const node = { ...shared, platform: 'node', format: 'cjs', target: 'node20' };

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });

/** The JSON-RPC library is a separate file: the extension loads it with the first request to the engine, not at activation. */
const jsonRpc = {
  name: 'json-rpc-apart',
  setup: ({ onResolve }) => onResolve({ filter: /^vscode-jsonrpc\/node$/ }, () => ({ path: './jsonrpc.js', external: true })),
};

const panels = existsSync(join(root, 'webview/panels')) ? await readdir(join(root, 'webview/panels')) : [];
const targets = [
  // keepNames costs a tenth of the size and the extension host needs no function names.
  [
    'extension',
    {
      ...node,
      keepNames: false,
      minify: true,
      entryPoints: ['src/extension/extension.ts'],
      outfile: 'dist/extension.js',
      external: ['vscode'],
      plugins: [jsonRpc],
    },
  ],
  [
    'jsonrpc',
    { ...node, keepNames: false, minify: true, entryPoints: ['node_modules/vscode-jsonrpc/node.js'], outfile: 'dist/jsonrpc.js' },
  ],
  ['engine', { ...node, entryPoints: ['src/engine/main.ts'], outfile: 'dist/engine.js', external: ['onnxruntime-node'] }],
  [
    'cli',
    {
      ...node,
      entryPoints: ['src/cli/main.ts'],
      outfile: 'dist/cli.js',
      external: ['onnxruntime-node'],
      banner: { js: '#!/usr/bin/env node' },
    },
  ],
  [
    'supervisor',
    {
      ...node,
      keepNames: false,
      minify: true,
      entryPoints: ['src/engine/supervisor.ts'],
      outfile: 'dist/supervisor.js',
      plugins: [jsonRpc],
    },
  ],
  ['worker', { ...node, entryPoints: ['src/engine/worker.ts'], outfile: 'dist/worker.js' }],
  ['table', { ...node, entryPoints: ['src/engine/table.ts'], outfile: 'dist/table.js' }],
  // One classic script for each view, so that a nonce is enough.
  [
    'webview',
    {
      ...shared,
      platform: 'browser',
      format: 'iife',
      target: 'es2022',
      entryPoints: panels
        .filter((panel) => existsSync(join(root, 'webview/panels', panel, 'main.ts')))
        .map((panel) => ({ in: `webview/panels/${panel}/main.ts`, out: panel })),
      outdir: 'dist/webview',
    },
  ],
].filter(
  ([, options]) => options.entryPoints.length > 0 && options.entryPoints.every((entry) => existsSync(join(root, entry.in ?? entry))),
);

const metafiles = {};
await Promise.all(
  targets.map(async ([name, options]) => {
    const result = await build(options);
    metafiles[name] = { inputs: Object.keys(result.metafile.inputs) };
  }),
);
// Which source files went into which bundle: the package tests read it.
await writeFile(join(dist, 'bundles.json'), JSON.stringify(metafiles, null, 1));
console.log(`built ${targets.map(([name]) => name).join(', ')}`);
