import { expect, test } from 'vitest';
import type { DType } from '../../../../src/protocol/dtypes';
import { decodeToFloat32, encodeFromFloat32 } from '../../../../src/engine/formats/decode';
import { encodeNpy } from '../../../support/encodeNpy';
import { readNpy } from '../../../../src/engine/formats/npy/openNpy';
import { openContainer } from '../../../../src/engine/models/openContainer';
import { temporaryFolder } from '../../../support/fixtures';
import { failureOf, readTestJson, writeInto } from '../../../support/formatFiles';

const folder = temporaryFolder();

interface Golden {
  readonly files: readonly {
    readonly dtype: DType;
    readonly shape: readonly number[];
    readonly file: string;
    readonly values: readonly number[];
  }[];
  readonly refused: readonly { readonly file: string; readonly diagnostic: string }[];
}
// Made by test/golden/make/formats.py with numpy.save.
const golden = readTestJson<Golden>('golden/formats/npy.json');

for (const [i, { dtype, shape, file, values }] of golden.files.entries()) {
  test(`case ${i}: ${dtype} (${shape.join(', ')}) as written by numpy.save`, async () => {
    const array = await readNpy(writeInto(folder, `case${i}.npy`, Buffer.from(file, 'base64')));
    expect(array).toMatchObject({ dtype, shape });
    expect([...decodeToFloat32(array.dtype, array.bytes)]).toEqual(values);
  });
}

for (const { file, diagnostic } of golden.refused) {
  test(`${diagnostic} is refused with what to do`, async () => {
    const error = await failureOf(() => openContainer(writeInto(folder, 'refused.npy', Buffer.from(file, 'base64'))));
    expect(error).toMatchObject({ code: 'unsupported', details: { diagnostic } });
    expect(error.message).toContain('Save');
  });
}

test('arrays written are read back', async () => {
  for (const shape of [[], [3], [2, 3], [0, 2]]) {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i - 1.5);
    const array = await readNpy(writeInto(folder, 'own.npy', encodeNpy('float32', shape, encodeFromFloat32('float32', values))));
    expect(array.shape).toEqual(shape);
    expect(decodeToFloat32('float32', array.bytes)).toEqual(values);
  }
});

const good = Buffer.from(encodeNpy('float32', [4], new Uint8Array(16)));
const header = (text: string) => {
  const out = Buffer.alloc(10 + text.length);
  out.write('\x93NUMPY\x01\x00', 'latin1');
  out.writeUInt16LE(text.length, 8);
  out.write(text, 10, 'latin1');
  return out;
};
for (const [name, bytes, diagnostic] of [
  ['an empty file', Buffer.alloc(0), 'empty-file'],
  ['a short file', good.subarray(0, 9), 'truncated'],
  ['another magic', Buffer.concat([Buffer.from('\x94NUMPY', 'latin1'), good.subarray(6)]), 'bad-magic'],
  ['a header that does not fit', good.subarray(0, 40), 'truncated'],
  ['data that ends early', good.subarray(0, good.length - 1), 'truncated'],
  ['data behind the array', Buffer.concat([good, Buffer.from('x')]), 'trailing-data'],
  ['no dictionary', header('hello'), 'invalid-header'],
  ['a missing key', header("{'descr': '<f4', 'shape': (1,)}"), 'invalid-header'],
  ['a negative size', header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"), 'invalid-header'],
  ['a size beyond 2^53', header("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}"), 'invalid-header'],
  ['a product beyond 2^53', header("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}"), 'truncated'],
  ['structures', header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}"), 'unsupported-dtype'],
  ['version 9', Buffer.concat([good.subarray(0, 6), Buffer.from([9]), good.subarray(7)]), 'unknown-version'],
] as const) {
  test(`${name}: ${diagnostic}`, async () => {
    const error = await failureOf(() => readNpy(writeInto(folder, 'bad.npy', bytes)));
    expect(error.details).toMatchObject({ diagnostic });
    expect(['malformed-file', 'unsupported']).toContain(error.code);
  });
}
