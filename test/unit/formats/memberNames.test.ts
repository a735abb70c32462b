import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { findArchitecture } from '../../../src/engine/architectures';
import { checkTable } from '../../../src/engine/formats/archive/header';
import { nestingAbove, parseJsonObject } from '../../../src/engine/formats/files/readText';
import { openNpy } from '../../../src/engine/formats/npy/openNpy';
import { openContainer } from '../../../src/engine/models/openContainer';
import { inputRoles, operatorKey } from '../../../src/engine/ops/inputRoles';
import { test } from '../../support/fixtures';
import { failureOf, rawSafetensors } from '../../support/formatFiles';

/** Names that every object answers to. */
const members = ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf', 'isPrototypeOf', '__defineGetter__'];

describe.each(members)('the name %s', (name) => {
  test('is no type of NumPy', async ({ folder }) => {
    const text = `{'descr': '<${name}', 'fortran_order': False, 'shape': (1,), }\n`;
    const header = Buffer.alloc(10);
    header.write('\x93NUMPY\x01\x00', 'latin1');
    header.writeUInt16LE(text.length, 8);
    writeFileSync(join(folder, 'a.npy'), Buffer.concat([header, Buffer.from(text), Buffer.alloc(8)]));
    expect((await failureOf(() => openNpy(join(folder, 'a.npy')))).code).toBe('unsupported');
  });

  test('is an operator without settings, statistics and tables', () => {
    for (const domain of ['', 'ai.onnx', name]) {
      expect(inputRoles.inputRole({ domain, op: name } as never, 1)).toBe('weight');
      expect(inputRoles.tableUse({ domain, op: name } as never, 1)).toBeUndefined();
    }
    expect(operatorKey('', name)).toBe(name);
  });

  test('is no known type of model', () => {
    expect(findArchitecture({ model_type: name })).toBeUndefined();
  });

  test('is no type of safetensors, and a tensor may have it', async ({ folder }) => {
    const file = join(folder, 'a.safetensors');
    const entry = `{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`;
    writeFileSync(file, rawSafetensors(Buffer.from(`{${JSON.stringify(name)}:${entry}}`), 4));
    const container = await openContainer(file);
    expect([...container.tensors.keys()]).toEqual([name]);
    await container.close();
    writeFileSync(file, rawSafetensors(Buffer.from(`{"a":${entry.replace('F32', name)}}`), 4));
    expect(['unsupported', 'malformed-file']).toContain((await failureOf(() => openContainer(file))).code);
  });
});

test('a table of an archive with objects for words is refused with what it says', async () => {
  for (const value of [{ toString: 1 }, { toString: {} }, null, { kind: { toString: 1 } }])
    for (const key of ['kind', 'dtype', 'name', 'shape', 'data']) {
      const tensor = { name: 'w', kind: 'plain', dtype: 'float32', shape: [1], data: [32, 4], [key]: value };
      const failure = await failureOf(async () => checkTable({ metadata: {}, tensors: [tensor] }, 'a.loomq', 100));
      expect(failure.code).toBe('malformed-file');
    }
});

describe('deep JSON', () => {
  const nested = (open: string, close: string, depth: number) => `{"a":${open.repeat(depth)}${close.repeat(depth)}}`;

  test('is refused at its position, whatever it is nested with', () => {
    for (const text of [nested('[', ']', 100_000), nested('{"b":', '}', 5000).replace('}', '1}'), `{"a":${'['.repeat(2e6)}`])
      expect(() => parseJsonObject(text, 'config.json')).toThrow(/depth of 200 brackets/);
  });

  test('is counted outside of strings only', () => {
    expect(parseJsonObject(`{"a":"${'['.repeat(1000)}\\"${'{'.repeat(1000)}","b":[[1]]}`, 'a.json')).toHaveProperty('b');
    expect(nestingAbove('["\\\\",["]"]]', 1)).toBe(6);
    expect(nestingAbove(nested('[', ']', 150), 200)).toBeUndefined();
    expect(nestingAbove('"never closed [[[[', 1)).toBeUndefined();
  });
});

test('names longer than the file system allows are names of files that are not there', async ({ folder }) => {
  mkdirSync(join(folder, 'm'));
  writeFileSync(join(folder, 'm', 'config.json'), '{}');
  for (const name of ['a'.repeat(300), `${'b/'.repeat(3000)}c`, 'd\0e']) {
    writeFileSync(join(folder, 'm', 'model.safetensors.index.json'), JSON.stringify({ weight_map: { w: name } }));
    expect((await failureOf(() => openContainer(join(folder, 'm')))).code).toBe('malformed-file');
  }
});

test('a report that lacks what every report has is refused by naming it', async ({ folder }) => {
  const whole = {
    kind: 'compress',
    version: '1',
    primary: 'w.safetensors',
    settings: {},
    source: {},
    verification: {},
    layers: [{ name: 'w' }],
  };
  writeFileSync(join(folder, 'w.safetensors'), rawSafetensors(Buffer.from('{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'), 4));
  const write = (report: object) => writeFileSync(join(folder, 'report.json'), JSON.stringify(report));
  write(whole);
  await (await openContainer(folder)).close();
  for (const key of ['settings', 'source', 'verification'] as const) {
    const { [key]: _, ...rest } = whole;
    write(rest);
    const failure = await failureOf(() => openContainer(folder));
    expect(failure.code).toBe('malformed-file');
    expect(failure.message).toContain(`'${key}'`);
  }
  write({ ...whole, layers: [null] });
  expect((await failureOf(() => openContainer(folder))).code).toBe('malformed-file');
});
