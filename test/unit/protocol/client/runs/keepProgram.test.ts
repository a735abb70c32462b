import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { keepProgram } from '../../../../../src/protocol/client/runs/keepProgram';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'loomweight-programs-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A packaged extension's `dist` with one version's programs. */
function dist(version: string): string {
  const path = join(folder, `extension-${version}`);
  mkdirSync(join(path, 'node_modules/onnxruntime-node/bin'), { recursive: true });
  for (const name of ['supervisor.js', 'engine.js', 'worker.js', 'jsonrpc.js', 'bundles.json'])
    writeFileSync(join(path, name), `${name} ${version}`);
  writeFileSync(join(path, 'node_modules/onnxruntime-node/bin/runtime.so'), version);
  return path;
}
const programs = () => join(folder, 'programs');

test('the programs of a job stay when the extension is replaced; those of other versions go once no job uses them', async () => {
  const first = await keepProgram(dist('1'), programs(), new Set());
  expect(first).not.toBe(join(folder, 'extension-1'));
  expect(await keepProgram(join(folder, 'extension-1'), programs(), new Set())).toBe(first);
  rmSync(join(folder, 'extension-1'), { recursive: true });
  expect(readFileSync(join(first, 'node_modules/onnxruntime-node/bin/runtime.so'), 'utf8')).toBe('1');
  expect(readFileSync(join(first, 'worker.js'), 'utf8')).toBe('worker.js 1');
  expect(existsSync(join(first, 'bundles.json'))).toBe(false);

  const second = await keepProgram(dist('1.0'), programs(), new Set([first]));
  expect(readdirSync(programs())).toHaveLength(2);
  expect(await keepProgram(join(folder, 'extension-1.0'), programs(), new Set())).toBe(second);
  expect(existsSync(first)).toBe(false);
});

test('a source tree runs from where it is, and so does a package whose files cannot be linked', async () => {
  const tree = join(folder, 'tree');
  mkdirSync(tree);
  expect(await keepProgram(tree, programs(), new Set())).toBe(tree);
  const unlinkable = dist('2');
  // A file where the folder of programs would be.
  writeFileSync(programs(), '');
  expect(await keepProgram(unlinkable, programs(), new Set())).toBe(unlinkable);
  expect(readFileSync(programs(), 'utf8')).toBe('');
});
