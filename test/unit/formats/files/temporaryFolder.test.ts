import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { isAlive } from '../../../../src/protocol/client/processState';
import { createTemporaryFolder, removeStaleFolders } from '../../../../src/engine/formats/files/temporaryFolder';
import { folderWriter, temporaryFolderName } from '../../../../src/protocol/client/temporaryNames';
import { test } from '../../../support/fixtures';

/** Above every process id of Linux. */
const deadPid = 4194305;

test('a temporary folder states its process, is for its user only, and goes', async () => {
  const folder = createTemporaryFolder('verify');
  expect(dirname(folder.path)).toBe(tmpdir());
  expect(folderWriter(folder.path.slice(tmpdir().length + 1))).toEqual({ pid: process.pid, isThisMachine: true });
  if (process.platform !== 'win32') expect(statSync(folder.path).mode & 0o777).toBe(0o700);
  writeFileSync(join(folder.path, 'model.onnx'), 'x');
  await folder.remove();
  await folder.remove();
  expect(existsSync(folder.path)).toBe(false);
});

test('folders of dead processes of this machine are removed, no others', ({ folder }) => {
  const mine = temporaryFolderName('unpacked', 'ab12');
  const dead = mine.replace(`-${process.pid}-`, `-${deadPid}-`);
  const elsewhere = dead.replace(/^loomweight-unpacked-[a-z0-9]+/, 'loomweight-unpacked-otherhost');
  const foreign = ['loomweight-engines-user', `loomweight-${deadPid}`, 'vscode-4194305-ab'];
  for (const name of [mine, dead, elsewhere, ...foreign]) mkdirSync(join(folder, name));
  writeFileSync(join(folder, dead, 'model.onnx'), 'x');
  expect(hostname()).not.toBe('otherhost');
  expect(removeStaleFolders(folder)).toEqual([join(folder, dead)]);
  for (const name of [mine, elsewhere, ...foreign]) expect(existsSync(join(folder, name))).toBe(true);
  expect(removeStaleFolders(join(folder, 'none'))).toEqual([]);
});

test('a zombie is dead', async () => {
  expect(isAlive(process.pid)).toBe(true);
  expect(isAlive(deadPid)).toBe(false);
  // The shell's background child ends at once; sleep, which takes the shell's place, never asks how.
  const parent = spawn('sh', ['-c', 'sleep 1 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(String(line));
    const state = (): string => spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim();
    await expect.poll(state, { timeout: 10_000 }).toMatch(/^Z/);
    expect(() => process.kill(pid, 0)).not.toThrow();
    expect(isAlive(pid)).toBe(false);
  } finally {
    parent.kill('SIGKILL');
  }
});
