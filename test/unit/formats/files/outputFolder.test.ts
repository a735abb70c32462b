import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { hostname } from 'node:os';
import { expect } from 'vitest';
import { createOutputFile, createOutputFolder } from '../../../../src/engine/formats/files/outputFolder';
import { removeStaleOutputs } from '../../../../src/engine/formats/files/staleOutputs';
import { outputToCome } from '../../../../src/protocol/client/outputToCome';
import { removeUnfinished } from '../../../../src/protocol/client/removeUnfinished';
import { temporaryName, temporaryWriter } from '../../../../src/protocol/client/temporaryNames';
import { test } from '../../../support/fixtures';
import { failureOf } from '../../../support/formatFiles';

const isTemporaryName = (name: string) => temporaryWriter(name) !== undefined;

test('an output folder appears complete, when it is committed', async ({ folder }) => {
  const final = path.join(folder, 'deep', 'out');
  const output = await createOutputFolder(final);
  mkdirSync(path.join(output.path, 'onnx'));
  writeFileSync(path.join(output.path, 'onnx', 'model.onnx'), 'x');
  expect(path.dirname(output.path)).toBe(path.dirname(final));
  expect(readdirSync(path.dirname(final)).filter((name) => !isTemporaryName(name))).toEqual([]);
  await output.commit();
  expect(readFileSync(path.join(final, 'onnx', 'model.onnx'), 'utf8')).toBe('x');
  expect(readdirSync(path.dirname(final))).toEqual(['out']);
  await output.discard();
  expect(readdirSync(final)).toEqual(['onnx']);
});

test('a discarded output leaves nothing', async ({ folder }) => {
  const output = await createOutputFolder(path.join(folder, 'discarded'));
  writeFileSync(path.join(output.path, 'half'), 'x');
  await output.discard();
  await output.discard();
  expect(readdirSync(folder).filter((name) => name.includes('discarded'))).toEqual([]);
});

test('an existing folder is refused unless it is empty, and is not changed', async ({ folder }) => {
  const final = path.join(folder, 'taken');
  mkdirSync(final);
  const output = await createOutputFolder(final);
  writeFileSync(path.join(final, 'theirs'), 'keep');
  expect((await failureOf(() => output.commit())).code).toBe('invalid-argument');
  expect(readdirSync(final)).toEqual(['theirs']);
  expect((await failureOf(() => createOutputFolder(final))).code).toBe('invalid-argument');
  expect((await failureOf(() => createOutputFolder(path.join(final, 'theirs')))).code).toBe('invalid-argument');
  expect(readdirSync(folder).filter(isTemporaryName)).toEqual([]);

  mkdirSync(path.join(folder, 'empty'));
  const second = await createOutputFolder(path.join(folder, 'empty'));
  writeFileSync(path.join(second.path, 'a'), '1');
  await second.commit();
  expect(readdirSync(path.join(folder, 'empty'))).toEqual(['a']);
});

test('a file is replaced in one step', async ({ folder }) => {
  const final = path.join(folder, 'file.json');
  writeFileSync(final, 'old');
  const output = await createOutputFile(final);
  writeFileSync(output.path, 'new');
  expect(readFileSync(final, 'utf8')).toBe('old');
  await output.commit();
  expect(readFileSync(final, 'utf8')).toBe('new');
});

test('leftovers of dead processes of this machine are removed; those of living ones and other machines stay', async ({ folder }) => {
  const place = path.join(folder, 'stale');
  mkdirSync(place);
  const mine = temporaryName('out', 'ab12');
  const dead = mine.replace(`-${process.pid}-`, '-999999999-');
  const foreign = dead.replace(/loomweight-[a-z0-9]+-/, 'loomweight-elsewhere0-');
  expect(hostname()).not.toBe('elsewhere0');
  for (const name of [mine, dead, foreign, 'unrelated.tmp']) mkdirSync(path.join(place, name));
  expect(await removeStaleOutputs(place)).toEqual([path.join(place, dead)]);
  expect(readdirSync(place).sort()).toEqual([mine, foreign, 'unrelated.tmp'].sort());
});

test('an output that fails leaves no folders that were made for it, and none that others use', async ({ folder }) => {
  const failed = await createOutputFolder(path.join(folder, 'a', 'b', 'c', 'out'));
  await failed.discard();
  expect(readdirSync(folder)).toEqual([]);

  const used = await createOutputFolder(path.join(folder, 'a', 'b', 'out'));
  writeFileSync(path.join(folder, 'a', 'theirs'), 'keep');
  await used.discard();
  expect(readdirSync(path.join(folder, 'a'))).toEqual(['theirs']);

  mkdirSync(path.join(folder, 'existing'));
  const file = await createOutputFile(path.join(folder, 'existing', 'file.json'));
  await file.discard();
  expect(readdirSync(path.join(folder, 'existing'))).toEqual([]);
});

test('what a killed process made is removed by who outlives it', async ({ folder }) => {
  const out = path.join(folder, 'a', 'b', 'out');
  const toCome = outputToCome(out);
  expect(toCome).toEqual({ path: out, firstMade: path.join(folder, 'a') });
  const { path: temporary } = await createOutputFolder(out);
  writeFileSync(path.join(temporary, 'half'), 'x');
  expect(await removeUnfinished(toCome, process.pid)).toEqual([temporary]);
  expect(readdirSync(folder)).toEqual([]);
  expect(outputToCome(path.join(folder, 'out'))).toEqual({ path: path.join(folder, 'out') });
});
