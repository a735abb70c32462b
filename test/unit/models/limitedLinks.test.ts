import { cpSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect } from 'vitest';
import { findModels } from '../../../src/engine/models/findModels';
import { openContainer } from '../../../src/engine/models/openContainer';
import { test } from '../../support/fixtures';
import { failureOf, rawSafetensors } from '../../support/formatFiles';

const secret = () => rawSafetensors(Buffer.from(JSON.stringify({ secret: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } })), 4);
const onnx = resolve('test/fixtures/onnx/digits-a.onnx');
const llama = resolve('test/fixtures/models/tiny-llama');
const qwen = resolve('test/fixtures/models/tiny-qwen2');

/** A workspace and a folder outside of it with everything that links could lead to. */
function places(folder: string): { workspace: string; outside: string } {
  const [workspace, outside] = [join(folder, 'workspace'), join(folder, 'outside')];
  for (const place of [workspace, outside, join(outside, 'onnx')]) mkdirSync(place, { recursive: true });
  writeFileSync(join(outside, 'secret.safetensors'), secret());
  cpSync(onnx, join(outside, 'onnx', 'model.onnx'));
  cpSync(llama, join(outside, 'llama'), { recursive: true });
  return { workspace, outside };
}

/** Each makes a model in the workspace that leads out by a link, and names it. */
const ways: Readonly<Record<string, (workspace: string, outside: string) => string>> = {
  'a linked file in a folder': (workspace, outside) => {
    mkdirSync(join(workspace, 'm'));
    symlinkSync(join(outside, 'secret.safetensors'), join(workspace, 'm', 'm.safetensors'));
    return join(workspace, 'm');
  },
  'a linked file': (workspace, outside) => {
    symlinkSync(join(outside, 'secret.safetensors'), join(workspace, 'm.safetensors'));
    return join(workspace, 'm.safetensors');
  },
  'a link to a linked file': (workspace, outside) => {
    symlinkSync(join(outside, 'secret.safetensors'), join(workspace, 'first'));
    symlinkSync('first', join(workspace, 'm.safetensors'));
    return join(workspace, 'm.safetensors');
  },
  'a linked onnx folder': (workspace, outside) => {
    writeFileSync(join(workspace, 'config.json'), '{}');
    symlinkSync(join(outside, 'onnx'), join(workspace, 'onnx'));
    return workspace;
  },
  'a linked model folder': (workspace, outside) => {
    symlinkSync(join(outside, 'llama'), join(workspace, 'm'));
    return join(workspace, 'm');
  },
  'a file below a linked folder': (workspace, outside) => {
    symlinkSync(join(outside, 'onnx'), join(workspace, 'm'));
    return join(workspace, 'm', 'model.onnx');
  },
  'a linked config': (workspace, outside) => {
    cpSync(llama, join(workspace, 'm'), { recursive: true });
    renameSync(join(workspace, 'm', 'config.json'), join(outside, 'config.json'));
    symlinkSync(join(outside, 'config.json'), join(workspace, 'm', 'config.json'));
    return join(workspace, 'm');
  },
  'a linked shard': (workspace, outside) => {
    cpSync(qwen, join(workspace, 'm'), { recursive: true });
    renameSync(join(workspace, 'm', 'model-00002-of-00003.safetensors'), join(outside, 'shard'));
    symlinkSync(join(outside, 'shard'), join(workspace, 'm', 'model-00002-of-00003.safetensors'));
    return join(workspace, 'm');
  },
  'a linked report': (workspace, outside) => {
    const report = {
      kind: 'compress',
      version: '1',
      method: 'rtn',
      layers: [],
      primary: 'm.safetensors',
      outputs: [],
      bitsPerWeight: 4,
      verification: { passed: true },
    };
    writeFileSync(join(outside, 'report.json'), JSON.stringify(report));
    symlinkSync(join(outside, 'report.json'), join(workspace, 'report.json'));
    writeFileSync(join(workspace, 'm.safetensors'), secret());
    return workspace;
  },
};

for (const [name, make] of Object.entries(ways))
  test(`in a restricted window, ${name} is refused`, async ({ folder }) => {
    const { workspace, outside } = places(folder);
    const model = make(workspace, outside);
    const failure = await failureOf(() => openContainer(model, { limited: true, within: [workspace] }));
    expect(['unsupported', 'malformed-file']).toContain(failure.code);
    expect(failure.message).toMatch(/link out of|must be in the model's folder/);
  });

test('without folders of the workspace, the folder of the model is the limit', async ({ folder }) => {
  const { workspace, outside } = places(folder);
  for (const name of ['a linked file in a folder', 'a linked file', 'a linked onnx folder'] as const) {
    const at = join(workspace, name.replaceAll(' ', '-'));
    mkdirSync(at);
    const failure = await failureOf(() => openContainer((ways[name] as (a: string, b: string) => string)(at, outside), { limited: true }));
    expect(failure.message).toContain('link out of');
  }
});

test('links within the workspace, and a workspace that is a link itself, are followed', async ({ folder }) => {
  const { workspace } = places(folder);
  mkdirSync(join(workspace, 'weights'));
  writeFileSync(join(workspace, 'weights', 'w.safetensors'), secret());
  symlinkSync('weights/w.safetensors', join(workspace, 'm.safetensors'));
  symlinkSync(workspace, join(folder, 'linked'));
  for (const root of [workspace, join(folder, 'linked')]) {
    const container = await openContainer(join(root, 'm.safetensors'), { limited: true, within: [root] });
    expect([...container.tensors.keys()]).toEqual(['secret']);
    await container.close();
  }
  const plain = await openContainer(llama, { limited: true });
  expect(plain.tensors.size).toBeGreaterThan(0);
  await plain.close();
});

test('the list of models reads no report through a link', async ({ folder }) => {
  const { workspace, outside } = places(folder);
  (ways['a linked report'] as (a: string, b: string) => string)(workspace, outside);
  expect((await findModels(workspace)).map(({ name }) => name)).toEqual(['m.safetensors']);
});
