import { readdirSync, readlinkSync } from 'node:fs';
import { expect, test } from 'vitest';
import { editModel } from '../../../../src/engine/formats/onnx/editModel';
import { openOnnx } from '../../../../src/engine/formats/onnx/openOnnx';
import { OpenFiles } from '../../../../src/engine/formats/files/openFiles';
import { onnxFile } from '../../../support/onnxFixtures';
import { temporaryFolder } from '../../../support/fixtures';
import { failureOf, writeInto } from '../../../support/formatFiles';

const folder = temporaryFolder();

/** How many handles of this process are open on files whose path contains a text. */
function handlesOn(part: string): number {
  return readdirSync('/proc/self/fd').filter((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`).includes(part);
    } catch {
      return false;
    }
  }).length;
}

test('many reads of one file share a handle, which close releases', async () => {
  const path = writeInto(
    folder,
    'shared.bin',
    Uint8Array.from({ length: 100 }, (_, index) => index),
  );
  const files = new OpenFiles();
  const read = await Promise.all(Array.from({ length: 20 }, (_, index) => files.read(path, index, 2)));
  expect(read.map((bytes) => [...bytes])).toEqual(Array.from({ length: 20 }, (_, index) => [index, index + 1]));
  expect(handlesOn('shared.bin')).toBe(1);
  await files.close();
  expect(handlesOn('shared.bin')).toBe(0);
  await expect(files.read(path, 0, 1)).rejects.toThrow(/after its model was closed/);
});

test('no more files than the limit stay open, including the last used', async () => {
  const paths = [0, 1, 2, 3, 4].map((index) => writeInto(folder, `limited-${index}.bin`, Uint8Array.of(index)));
  const files = new OpenFiles(2);
  for (const path of paths) await files.read(path, 0, 1);
  expect(handlesOn('limited-')).toBe(2);
  expect(handlesOn('limited-4')).toBe(1);
  expect([...(await files.read(paths[0]!, 0, 1))]).toEqual([0]);
  await files.close();
  expect(handlesOn('limited-')).toBe(0);
});

test('a file that cannot be opened is retried, and a range beyond the end is an error with its offset', async () => {
  const files = new OpenFiles();
  const path = `${folder}/later.bin`;
  expect((await failureOf(() => files.read(path, 0, 1))).code).toBe('not-found');
  writeInto(folder, 'later.bin', Uint8Array.of(7));
  expect([...(await files.read(path, 0, 1))]).toEqual([7]);
  expect(await failureOf(() => files.read(path, 0, 2))).toMatchObject({ code: 'malformed-file', details: { offset: 1 } });
  await files.close();
});

test('an ONNX model with external data releases every handle, opened for reading and for editing', async () => {
  const before = handlesOn('external.onnx');
  const container = await openOnnx(onnxFile('external'));
  const editor = await editModel(onnxFile('external'));
  for (const name of container.tensors.keys()) {
    const bytes = await container.read(name);
    if (editor.weights().has(name)) expect(Buffer.compare(await editor.read(name), bytes)).toBe(0);
  }
  expect(handlesOn('external.onnx')).toBeGreaterThan(before);
  await Promise.all([container.close(), editor.close()]);
  expect(handlesOn('external.onnx')).toBe(before);
});
