import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { DType } from '../../../../src/protocol/dtypes';
import { decodeToFloat32 } from '../../../../src/engine/formats/decode';
import { openContainer } from '../../../../src/engine/models/openContainer';
import { openSafetensors } from '../../../../src/engine/formats/safetensors/openSafetensors';
import { SafetensorsWriter } from '../../../../src/engine/formats/safetensors/writer';
import { temporaryFolder } from '../../../support/fixtures';
import { failureOf, rawSafetensors, readTestJson, writeInto } from '../../../support/formatFiles';

const folder = temporaryFolder();

interface Golden {
  readonly file: string;
  readonly accepted: readonly string[];
  readonly cases: readonly {
    readonly name: string;
    readonly dtype: DType;
    readonly shape: readonly number[];
    readonly bytes: string;
    readonly values: readonly (number | null)[] | null;
  }[];
}
// Made by test/golden/make/formats.py with the Python libraries safetensors and ml_dtypes.
const golden = readTestJson<Golden>('golden/formats/safetensors.json');

test('a file of the reference library with every type is read exactly', async () => {
  const container = await openSafetensors(writeInto(folder, 'all.safetensors', Buffer.from(golden.file, 'base64')));
  expect(container.metadata).toEqual({ format: 'np', note: 'grüße' });
  expect([...container.tensors.keys()].sort()).toEqual([...golden.accepted].sort());
  for (const { name, dtype, shape, bytes } of golden.cases.filter((one) => golden.accepted.includes(one.name))) {
    expect(container.tensors.get(name)).toMatchObject({ dtype, shape });
    expect(Buffer.from(await container.read(name)).toString('base64')).toBe(bytes);
  }
  await container.close();
});

for (const { name, dtype, bytes, values } of golden.cases) {
  if (values === null) continue;
  test(`values of ${name} equal those of ml_dtypes and NumPy`, () => {
    const decoded = decodeToFloat32(dtype, new Uint8Array(Buffer.from(bytes, 'base64')), new Float32Array(values.length));
    expect([...decoded].map((value) => (Number.isFinite(value) ? value : null))).toEqual(values);
  });
}

test('the reader returns what the writer wrote, also in shards and in any order of writing', async () => {
  const target = path.join(folder, 'written');
  mkdirSync(target);
  const plans = golden.cases.map(({ name, dtype, shape }, i) => ({
    name,
    dtype,
    shape,
    file: `model-0000${(i % 2) + 1}-of-00002.safetensors`,
  }));
  const writer = await SafetensorsWriter.create(target, plans);
  for (const { name, bytes } of [...golden.cases].reverse()) {
    const data = Buffer.from(bytes, 'base64');
    await writer.write(name, data.subarray(0, 3));
    await writer.write(name, data.subarray(3));
  }
  expect(await writer.finish()).toContain('model.safetensors.index.json');
  writeFileSync(path.join(target, 'config.json'), '{"model_type":"none"}');
  const container = await openContainer(target);
  for (const { name, dtype, shape, bytes } of golden.cases) {
    expect(container.tensors.get(name)).toMatchObject({ dtype, shape });
    expect(Buffer.from(await container.read(name)).toString('base64')).toBe(bytes);
    expect(Buffer.from(await container.read(name, { offset: 1, length: 2 })).toString('hex')).toBe(
      Buffer.from(bytes, 'base64').subarray(1, 3).toString('hex'),
    );
  }
  expect(container.diagnostics).toEqual([]);
  await container.close();
});

test('the writer refuses a tensor that is incomplete, too long or not planned', async () => {
  const target = path.join(folder, 'partial');
  mkdirSync(target);
  const writer = await SafetensorsWriter.create(target, [{ name: 'a', dtype: 'float32', shape: [2] }]);
  await writer.write('a', new Uint8Array(4));
  expect((await failureOf(() => writer.write('a', new Uint8Array(8)))).code).toBe('invalid-argument');
  expect((await failureOf(() => writer.write('b', new Uint8Array(8)))).code).toBe('invalid-argument');
  expect((await failureOf(() => writer.finish())).message).toContain('needs 8 bytes, but only 4');
  await writer.abort();
});

interface Hostile {
  readonly name: string;
  readonly header?: string | null;
  readonly headerHex?: string;
  readonly fileHex?: string;
  readonly dataBytes?: number;
  readonly lengthField?: number | string;
  readonly expect: string;
}

for (const hostile of readTestJson<Hostile[]>('fixtures/hostile/safetensors.json')) {
  test(`${hostile.name}: ${hostile.expect}, with file and position`, async () => {
    const header = hostile.headerHex === undefined ? Buffer.from(hostile.header ?? '') : Buffer.from(hostile.headerHex, 'hex');
    const length = hostile.lengthField === undefined ? undefined : BigInt(hostile.lengthField);
    const bytes =
      hostile.fileHex === undefined ? rawSafetensors(header, hostile.dataBytes ?? 0, length) : Buffer.from(hostile.fileHex, 'hex');
    const file = writeInto(folder, 'hostile.safetensors', bytes);
    const error = await failureOf(() => openContainer(file));
    expect(error.details).toMatchObject({ file, diagnostic: hostile.expect });
    if (error.code !== 'unsupported') expect(error).toMatchObject({ code: 'malformed-file', details: { offset: expect.any(Number) } });
  });
}

test('zero-size tensors, an empty model, odd names and padding are valid', async () => {
  const header =
    '{"":{"dtype":"F32","shape":[0,99999999999],"data_offsets":[0,0]},"__proto__":{"shape":[],"data_offsets":[0,4],"dtype":"F32"},"é\\n":{"dtype":"U8","shape":[1],"data_offsets":[4,5]}}   ';
  const container = await openSafetensors(writeInto(folder, 'odd.safetensors', rawSafetensors(Buffer.from(header), 5)));
  expect([...container.tensors.keys()]).toEqual(['', '__proto__', 'é\n']);
  expect(await container.read('')).toHaveLength(0);
  expect(await container.read('__proto__')).toHaveLength(4);
  expect((await failureOf(() => container.read('__proto__', { offset: 2, length: 3 }))).code).toBe('invalid-argument');
  await container.close();
  const empty = await openSafetensors(writeInto(folder, 'none.safetensors', rawSafetensors(Buffer.from('{}'), 0)));
  expect(empty.tensors.size).toBe(0);
});

test('a tensor of an unknown type is omitted with a warning; the others are kept', async () => {
  const header = '{"a":{"dtype":"F9","shape":[2],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}}';
  const container = await openSafetensors(writeInto(folder, 'newer.safetensors', rawSafetensors(Buffer.from(header), 5)));
  expect([...container.tensors.keys()]).toEqual(['b']);
  expect(container.diagnostics).toMatchObject([{ code: 'unknown-dtype', subject: 'a', severity: 'warning' }]);
});

const shard = rawSafetensors(Buffer.from('{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}'), 2);

function shardedModel(name: string, weightMap: unknown): string {
  const target = path.join(folder, name, 'model');
  mkdirSync(target, { recursive: true });
  writeInto(target, 'config.json', '{}');
  writeInto(target, 'one.safetensors', shard);
  writeInto(path.dirname(target), 'outside.safetensors', shard);
  writeInto(target, 'model.safetensors.index.json', JSON.stringify({ weight_map: weightMap }));
  return target;
}

for (const [name, escape] of [
  ['dots', '../outside.safetensors'],
  ['backslashes', '..\\outside.safetensors'],
  ['absolute', path.join(folder, 'absolute', 'outside.safetensors')],
  ['drive', 'C:\\outside.safetensors'],
  ['empty', ''],
  ['nul', 'one.safetensors\0'],
  ['detour', 'sub/../../outside.safetensors'],
] as const) {
  test(`a shard name cannot leave the folder: ${name}`, async () => {
    const error = await failureOf(() => openContainer(shardedModel(name, { a: escape })));
    expect(error).toMatchObject({ code: 'malformed-file', details: { diagnostic: 'path-escape' } });
  });
}

test('a symbolic link cannot lead out of the folder, except into the blobs of a download cache in trusted use', async () => {
  const target = shardedModel('link', { a: 'linked.safetensors' });
  symlinkSync(path.join(path.dirname(target), 'outside.safetensors'), path.join(target, 'linked.safetensors'));
  expect((await failureOf(() => openContainer(target))).details).toMatchObject({ diagnostic: 'path-escape' });

  const cache = path.join(folder, 'models--x');
  const snapshot = path.join(cache, 'snapshots', 'abc');
  mkdirSync(snapshot, { recursive: true });
  mkdirSync(path.join(cache, 'blobs'));
  writeInto(path.join(cache, 'blobs'), 'f00', shard);
  writeInto(snapshot, 'config.json', '{}');
  symlinkSync('../../blobs/f00', path.join(snapshot, 'model.safetensors'));
  const container = await openContainer(snapshot);
  expect(await container.read('a')).toHaveLength(2);
  await container.close();
  expect((await failureOf(() => openContainer(snapshot, { limited: true }))).details).toMatchObject({ diagnostic: 'path-escape' });
});

test('an index that names missing files or tensors is refused; one that omits a tensor is a warning', async () => {
  expect((await failureOf(() => openContainer(shardedModel('gone', { a: 'two.safetensors' })))).details).toMatchObject({
    diagnostic: 'missing-file',
  });
  expect(
    (await failureOf(() => openContainer(shardedModel('lost', { b: 'one.safetensors', a: 'one.safetensors' })))).details,
  ).toMatchObject({
    diagnostic: 'missing-tensor',
  });
  expect((await failureOf(() => openContainer(shardedModel('list', [1])))).details).toMatchObject({ diagnostic: 'invalid-index' });
  const target = shardedModel('spare', { a: 'one.safetensors' });
  writeInto(
    target,
    'one.safetensors',
    rawSafetensors(
      Buffer.from('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}'),
      2,
    ),
  );
  const container = await openContainer(target);
  expect(container.tensors.size).toBe(2);
  expect(container.diagnostics).toMatchObject([{ code: 'index-disagrees', subject: 'b' }]);
});

test('a million tensors open in bounded time with correct offsets', async () => {
  const count = 1_000_000;
  const parts: string[] = [];
  for (let i = 0; i < count; i += 1) parts.push(`"t${i}":{"dtype":"U8","shape":[1],"data_offsets":[${i},${i + 1}]}`);
  const container = await openSafetensors(
    writeInto(folder, 'many.safetensors', rawSafetensors(Buffer.from(`{${parts.join(',')}}`), count)),
  );
  expect(container.tensors.size).toBe(count);
  expect(await container.read('t999999')).toHaveLength(1);
  await container.close();
});
