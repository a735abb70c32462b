import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { refuseInPlace } from '../../../src/engine/models/refuseInPlace';
import { readText } from '../../../src/engine/formats/files/readText';
import { openContainer } from '../../../src/engine/models/openContainer';
import { loadTokenizer } from '../../../src/engine/text/tokenizer';
import { temporaryFolder } from '../../support/fixtures';
import { failureOf } from '../../support/formatFiles';

const folder = temporaryFolder();
const sample = path.join(import.meta.dirname, '..', '..', '..', 'media', 'samples', 'loom-base');

/** The sample with one of its files replaced by a pipe without a writer. */
function withPipe(name: string): string {
  const model = path.join(folder, `pipe-${name}`);
  cpSync(sample, model, { recursive: true });
  rmSync(path.join(model, name));
  execFileSync('mkfifo', [path.join(model, name)]);
  return model;
}

test("a pipe in place of a model's file is refused without waiting for it", async () => {
  if (process.platform === 'win32') return; // has no pipes in folders
  for (const name of ['config.json', 'model.safetensors', 'tokenizer.json']) {
    const model = withPipe(name);
    const { code } = await failureOf(() => openContainer(model));
    expect(code, name).toBe(name === 'tokenizer.json' ? 'malformed-file' : 'invalid-argument');
  }
  const alone = path.join(folder, 'alone');
  mkdirSync(alone);
  execFileSync('mkfifo', [path.join(alone, 'model.onnx')]);
  expect((await failureOf(() => openContainer(alone))).code).toBe('invalid-argument');
  expect((await failureOf(() => readText(path.join(alone, 'model.onnx')))).code).toBe('invalid-argument');
  expect((await failureOf(() => loadTokenizer([path.join(folder, 'pipe-tokenizer.json')]))).code).toBe('invalid-argument');
});

test('a circular link is reported as a missing file', async () => {
  if (process.platform === 'win32') return; // links need rights there
  const model = path.join(folder, 'circle');
  cpSync(sample, model, { recursive: true });
  rmSync(path.join(model, 'model.safetensors'));
  symlinkSync('model.safetensors', path.join(model, 'model.safetensors'));
  expect((await failureOf(() => openContainer(model))).code).toBe('malformed-file');
});

test('an output in the model is refused, through links and under names that begin with dots', async () => {
  const model = path.join(folder, 'source');
  mkdirSync(model);
  symlinkSync(model, path.join(folder, 'link'), 'junction');
  for (const out of [model, path.join(model, 'out'), path.join(model, '..out'), path.join(folder, 'link', 'deep', 'out')])
    expect((await failureOf(() => refuseInPlace({ model, out }))).code, out).toBe('invalid-argument');
  for (const out of [path.join(folder, 'source-4bit'), folder, path.join(model, '..', 'other')])
    await expect(refuseInPlace({ model, out })).resolves.toBeUndefined();
});

test('a deeply nested config.json is refused at the position where it is too deep', async () => {
  const model = path.join(folder, 'nested');
  cpSync(sample, model, { recursive: true });
  writeFileSync(path.join(model, 'config.json'), `{"a":${'{"a":'.repeat(300_000)}1${'}'.repeat(300_001)}`);
  const failure = await failureOf(() => openContainer(model));
  expect(failure).toMatchObject({ code: 'malformed-file', details: { diagnostic: 'too-deep', offset: 1000 } });
});
