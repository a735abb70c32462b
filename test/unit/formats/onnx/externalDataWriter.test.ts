import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { GraphBuilder } from '../../../../src/engine/graph/builder';
import { ExternalDataWriter } from '../../../../src/engine/formats/onnx/externalDataWriter';
import { openOnnx } from '../../../../src/engine/formats/onnx/openOnnx';
import { writeOnnxModel } from '../../../../src/engine/formats/onnx/writeOnnxModel';
import { operators } from '../../../../src/engine/ops';
import { temporaryFolder } from '../../../support/fixtures';

const folder = temporaryFolder();

test('tensors start on 64 bytes, large ones on a page; pieces are joined; the model reads back', async () => {
  const path = join(folder, 'model.onnx');
  const writer = await ExternalDataWriter.create(path);
  const small = await writer.append('int8', [3], Uint8Array.of(1, 2, 3));
  const odd = await writer.append('uint4', [3], [Uint8Array.of(0x21), Uint8Array.of(3)]);
  const large = await writer.append('float32', [512, 512], new Uint8Array(2 ** 20).fill(7));
  const empty = await writer.append('float32', [0, 4], []);
  await writer.close();
  expect([small, odd, large, empty].map(({ offset, length }) => [offset, length])).toEqual([
    [0, 3],
    [64, 2],
    [4096, 2 ** 20],
    [4096 + 2 ** 20, 0],
  ]);
  expect((await readFile(`${path}_data`)).length).toBe(4096 + 2 ** 20);

  const build = new GraphBuilder(operators, 'external');
  const x = build.input('x', { dtype: 'float32', shape: ['rows', 512] });
  build.output(build.op('MatMul', [x, build.constant(large, 'w')]), 'y');
  const names = [
    [small, 'small'],
    [odd, 'odd'],
    [empty, 'empty'],
  ] as const;
  for (const [data, name] of names) build.constant(data, name);
  await writeOnnxModel(build.finish(), path, { externalData: 'never', metadata: { made: 'here' } });
  const container = await openOnnx(path);
  expect(container.diagnostics).toEqual([]);
  expect(container.metadata).toMatchObject({ producer: 'loomweight', made: 'here' });
  expect([...(await container.read('odd'))]).toEqual([0x21, 3]);
  expect((await container.read('w', { offset: 2 ** 20 - 2, length: 2 })).every((byte) => byte === 7)).toBe(true);
  expect((await container.read('empty')).length).toBe(0);
  await container.close();
});

test('bytes that do not match the shape are refused', async () => {
  const writer = await ExternalDataWriter.create(join(folder, 'wrong.onnx'));
  await expect(writer.append('float32', [2], new Uint8Array(7))).rejects.toMatchObject({ code: 'invalid-argument' });
  await expect(writer.append('float32', [2], new Uint8Array(9))).rejects.toMatchObject({ code: 'invalid-argument' });
  await writer.abandon();
});
