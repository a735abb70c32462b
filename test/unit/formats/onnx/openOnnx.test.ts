import { cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { elementCount } from '../../../../src/protocol/dtypes';
import { openOnnx } from '../../../../src/engine/formats/onnx/openOnnx';
import { expectedTensors, numbersOf, onnxFile, onnxFixtures } from '../../../support/onnxFixtures';
import { temporaryFolder } from '../../../support/fixtures';

const folder = temporaryFolder();

describe('tensors have the values that numpy wrote', () => {
  const { files } = expectedTensors();
  for (const [file, tensors] of Object.entries(files)) {
    test.each(Object.entries(tensors))(`${file} %s`, async (name, expected) => {
      const container = await openOnnx(join(onnxFixtures, file));
      try {
        const entry = container.tensors.get(name);
        expect(entry).toMatchObject({ dtype: expected.dtype, shape: expected.shape });
        const bytes = await container.read(name);
        expect(bytes.byteLength).toBe(entry?.bytes);
        expect(numbersOf(expected.dtype, bytes, elementCount(expected.shape))).toEqual(expected.values);
      } finally {
        await container.close();
      }
    });
  }
});

describe('metadata of a file', () => {
  test('the fixtures have no diagnostics', async () => {
    for (const file of ['storages', 'nested', 'external', 'old-ir3', 'digits-mlp', 'digits-a', 'din-a']) {
      const container = await openOnnx(onnxFile(file));
      expect(container.diagnostics, file).toEqual([]);
      await container.close();
    }
  });

  test('graph summary, with initialisers of old files left out of the inputs', async () => {
    const container = await openOnnx(join(onnxFixtures, 'old-ir3.onnx'));
    expect(container.graph).toEqual({
      opset: { '': 8 },
      inputs: [{ name: 'x', dtype: 'float32', shape: ['N', 16] }],
      outputs: [{ name: 'y', dtype: 'float32', shape: ['N', 8] }],
      operators: { MatMul: 1 },
      nodes: 1,
    });
    await container.close();
  });

  test('bodies and functions count, metadata is listed', async () => {
    const nested = await openOnnx(join(onnxFixtures, 'nested.onnx'));
    expect(nested.graph?.operators).toEqual({ Add: 2, Constant: 2, If: 1, MatMul: 3, 'local.AddBias': 1 });
    expect([...nested.tensors.keys()].sort()).toEqual([
      'AddBias/b',
      'choose/else_branch/w',
      'choose/then_branch/w',
      'sp',
      'sp/indices',
      'w_const',
    ]);
    await nested.close();
    const storages = await openOnnx(join(onnxFixtures, 'storages.onnx'));
    expect(storages.metadata).toMatchObject({ note: 'every storage kind', producer: 'onnx', graph: 'storages', 'IR version': '10' });
    await storages.close();
  });

  test('strings are read with their lengths', async () => {
    const container = await openOnnx(join(onnxFixtures, 'storages.onnx'));
    const bytes = Buffer.from(await container.read('texts'));
    expect(bytes.toString('utf8')).toBe('\u0004\0\0\0loom\u0007\0\0\0wéight');
    await container.close();
  });

  test('a range of a tensor, raw and decoded', async () => {
    const container = await openOnnx(join(onnxFixtures, 'storages.onnx'));
    for (const name of ['float_raw', 'float16_data']) {
      const whole = await container.read(name);
      expect(await container.read(name, { offset: 4, length: 6 })).toEqual(whole.subarray(4, 10));
    }
    await expect(container.read('float_raw', { offset: 40, length: 9 })).rejects.toMatchObject({ code: 'invalid-argument' });
    await expect(container.read('nothing')).rejects.toMatchObject({ code: 'not-found' });
    await container.close();
  });

  test.each(['digits-mlp', 'digits-a'])('%s contains the tensors of its safetensors sibling', async (name) => {
    const bytes = await readFile(join(onnxFixtures, `${name}.safetensors`));
    const headerLength = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.subarray(8, 8 + headerLength).toString('utf8')) as Record<
      string,
      { shape: number[]; data_offsets: [number, number] }
    >;
    const container = await openOnnx(onnxFile(name));
    let compared = 0;
    for (const [tensor, { shape, data_offsets: range }] of Object.entries(header)) {
      if (tensor === '__metadata__') continue;
      expect(container.tensors.get(tensor)?.shape, tensor).toEqual(shape);
      const expected = bytes.subarray(8 + headerLength + range[0], 8 + headerLength + range[1]);
      expect(Buffer.from(await container.read(tensor)).equals(expected), tensor).toBe(true);
      compared += 1;
    }
    expect(compared).toBeGreaterThan(4);
    await container.close();
  });
});

describe('external data must be inside the folder', () => {
  /** The external fixture with its location texts replaced by another of the same length. */
  async function withLocation(target: string, location: string): Promise<string> {
    await mkdir(target, { recursive: true });
    const bytes = await readFile(join(onnxFixtures, 'external.onnx'));
    const padded = location.padEnd('external.onnx_data'.length, 'x');
    const text = bytes.toString('latin1').replaceAll('external.onnx_data', padded);
    const path = join(target, 'model.onnx');
    await writeFile(path, Buffer.from(text, 'latin1'));
    return path;
  }

  test.each([
    ['a parent folder', '../outside-xxxxxxx', 'external-path'],
    ['a parent folder, Windows style', '..\\outside-xxxxxxx', 'external-path'],
    ['an absolute path', '/etc/passwd-xxxxxx', 'external-path'],
    ['a drive', 'C:\\windows\\xxxxxxx', 'external-path'],
    ['a missing file', 'missing-xxxxxxxxxx', 'external-missing'],
  ])('%s is refused', async (_, location, code) => {
    const path = await withLocation(join(folder, `case-${code}-${location.length}-${Buffer.from(location).toString('hex')}`), location);
    const container = await openOnnx(path);
    expect(container.diagnostics.map((diagnostic) => [diagnostic.code, diagnostic.severity, diagnostic.subject])).toEqual([
      [code, 'error', 'w'],
      [code, 'error', 'b'],
    ]);
    expect(container.tensors.get('w')).toMatchObject({ shape: [16, 8], bytes: 512, location: undefined });
    await expect(container.read('w')).rejects.toMatchObject({ code: 'malformed-file' });
    await container.close();
  });

  test('a link out of the folder is refused, one within is followed', async () => {
    const target = join(folder, 'links');
    const path = await withLocation(target, 'external.onnx_data');
    await cp(join(onnxFixtures, 'external.onnx_data'), join(folder, 'elsewhere'));
    await symlink(join(folder, 'elsewhere'), join(target, 'external.onnx_data'));
    const refused = await openOnnx(path);
    expect(refused.diagnostics[0]?.code).toBe('external-path');
    await refused.close();
    await rm(join(target, 'external.onnx_data'));
    await cp(join(onnxFixtures, 'external.onnx_data'), join(target, 'inside'));
    await symlink('inside', join(target, 'external.onnx_data'));
    const followed = await openOnnx(path);
    expect(followed.diagnostics).toEqual([]);
    expect((await followed.read('b')).byteLength).toBe(32);
    await followed.close();
  });

  test('a range beyond the file is refused', async () => {
    const target = join(folder, 'short');
    const path = await withLocation(target, 'external.onnx_data');
    await writeFile(join(target, 'external.onnx_data'), new Uint8Array(520));
    const container = await openOnnx(path);
    expect(container.diagnostics.map((diagnostic) => [diagnostic.code, diagnostic.subject])).toEqual([['external-range', 'b']]);
    expect((await container.read('w')).byteLength).toBe(512);
    await container.close();
  });

  test('in limited mode no file but the model is opened', async () => {
    const container = await openOnnx(join(onnxFixtures, 'external.onnx'), { limited: true });
    expect(container.tensors.get('w')).toMatchObject({ dtype: 'float32', shape: [16, 8], bytes: 512, location: undefined });
    expect(container.diagnostics).toEqual([]);
    await expect(container.read('w')).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('untrusted workspace') as string,
    });
    await container.close();
  });
});
