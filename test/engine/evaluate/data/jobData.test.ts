import { rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect } from 'vitest';
import { openJobData } from '../../../../src/engine/evaluate/data/jobData';
import { encodeNpy } from '../../../support/encodeNpy';
import { test } from '../../../support/fixtures';

const inputs = [{ name: 'x', dtype: 'float32', shape: ['batch', 'width'] }];
const columns = { x: 'x?', label: 'y', split: 'part' };
const lines = ['x0,x1,y,part', '1,2,0,train', '3,4.5,1,test', '5,6,1,train', 'bad,8,0,val'];

test('a table is decoded once for all its splits, and what is freed is read again', async ({ folder }) => {
  const file = join(folder, 'table.csv');
  writeFileSync(file, lines.join('\n'));
  const data = openJobData({ data: file, columns });
  const train = await data.read('train', inputs);
  expect(train.inputs.get('x')).toEqual({ dtype: 'float64', shape: [2, 2], data: Float64Array.of(1, 2, 5, 6) });
  expect(train.labels.data).toEqual(Float64Array.of(0, 1));
  rmSync(file);
  writeFileSync(file, ['x0,x1,y,part', '9,9,9,test'].join('\n'));
  const test = await data.read('test', inputs);
  expect(test).toMatchObject({ samples: 1, description: `${file}, split 'test'` });
  expect(test.inputs.get('x')?.data).toEqual(Float64Array.of(3, 4.5));
  expect(await Promise.all(['train', 'val', 'test', 'dev'].map((name) => data.has(name)))).toEqual([true, true, true, false]);
  // A split that cannot be read stops nobody who does not read it.
  await expect(data.read('val', inputs)).rejects.toMatchObject({ code: 'malformed-file', message: expect.stringContaining("column 'x0'") });
  data.keepOnly(['test']);
  expect((await data.read('test', inputs)).inputs.get('x')?.data).toEqual(Float64Array.of(3, 4.5));
  expect((await data.read('train', inputs)).samples).toBe(0);
  expect((await data.read('test', inputs)).inputs.get('x')?.data).toEqual(Float64Array.of(9, 9));
});

test('each reading has the axes and the kinds that it asks for', async ({ folder }) => {
  const file = join(folder, 'table.csv');
  writeFileSync(file, lines.slice(0, 4).join('\n'));
  const data = openJobData({ data: file, columns });
  const shapeOf = async (shape: readonly (number | string)[], dtype = 'float32') =>
    (await data.read('train', [{ name: 'x', dtype, shape }])).inputs.get('x');
  expect((await shapeOf(['batch', 'width']))?.shape).toEqual([2, 2]);
  expect((await shapeOf(['batch', 1, 2]))?.shape).toEqual([2, 1, 2]);
  expect((await shapeOf(['batch', 5]))?.shape).toEqual([2, 2]);
  expect(await shapeOf(['batch', 2], 'int64')).toEqual({ dtype: 'int64', shape: [2, 2], data: BigInt64Array.of(1n, 2n, 5n, 6n) });
  // Without a column for splits every name is the whole table, and none is held out.
  const whole = openJobData({ data: file, columns: { x: 'x?', label: 'y' } });
  expect([(await whole.read('train', inputs)).samples, (await whole.read('test', inputs)).samples]).toEqual([3, 3]);
  expect(await whole.has('test')).toBe(false);
});

test('folders and missing data', async ({ folder }) => {
  const data = openJobData({ data: resolve('media/samples/digits/data') });
  expect([await data.has('test'), await data.has('dev')]).toEqual([true, false]);
  const digits = [{ name: 'input', dtype: 'float32', shape: ['batch', 64] }];
  expect((await data.read('test', digits)).samples).toBe(360);
  writeFileSync(join(folder, 'val-label.npy'), encodeNpy('uint8', [1], Uint8Array.of(1)));
  expect(await openJobData({ data: folder }).has('val')).toBe(true);
  const missing = openJobData({ data: join(folder, 'missing') });
  expect(await missing.has('test')).toBe(false);
  await expect(missing.read('test', digits)).rejects.toMatchObject({ code: 'not-found' });
});
