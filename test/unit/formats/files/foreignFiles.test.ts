import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync, deflateRawSync } from 'node:zlib';
import { describe, expect } from 'vitest';
import { recognizeForeign } from '../../../../src/engine/formats/files/foreignFile';
import { openContainer } from '../../../../src/engine/models/openContainer';
import { test } from '../../../support/fixtures';
import { failureOf, rawSafetensors, writeInto } from '../../../support/formatFiles';
import { writeHeaderModel } from '../../../support/headerModel';

const text = (content: string) => new TextEncoder().encode(content);
const bytes = (...values: number[]) => Uint8Array.from([...values, ...new Array<number>(64).fill(7)]);

/** The local header of a zip's first file, and its bytes; what follows is not looked at. */
function zip(name: string): Uint8Array {
  const header = Buffer.alloc(30);
  header.writeUInt32LE(0x04034b50);
  header.writeUInt16LE(8, 8);
  header.writeUInt16LE(name.length, 26);
  return Buffer.concat([header, Buffer.from(name), deflateRawSync('x')]);
}

const pointer = text(
  'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n',
);
const tar = new Uint8Array(512);
tar.set(text('ustar'), 257);

const foreign: readonly (readonly [name: string, content: Uint8Array, words: RegExp])[] = [
  ['a Git LFS pointer', pointer, /Git LFS pointer.*git lfs pull/],
  ['a web page', text('<!DOCTYPE html>\n<html><body>Not found</body></html>'), /a web page \(HTML\).*Download/],
  ['a web page behind white space', text('\n  <html lang="en">'), /a web page/],
  ['a web page with a byte-order mark', text('\ufeff<!doctype html>'), /a web page/],
  ['an error of a server', text('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'), /XML/],
  ['an error as JSON', text('{"error":"Repository not found"}'), /a JSON message/],
  ['PyTorch', zip('archive/data.pkl'), /PyTorch.*safetensors/],
  ['PyTorch of another name', zip('pytorch_model/data.pkl'), /PyTorch/],
  ['NumPy', zip('weights.npy'), /NumPy arrays \(\.npz\)/],
  ['Keras', zip('metadata.json'), /Keras/],
  ['a zip', zip('readme.md'), /a zip archive\..*Unpack/],
  ['a pickle', bytes(0x80, 2, 0x8a, 10), /Python pickle/],
  ['gzip', gzipSync('weights'), /compressed with gzip/],
  ['bzip2', text('BZh91AY'), /bzip2/],
  ['xz', bytes(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0), /xz/],
  ['Zstandard', bytes(0x28, 0xb5, 0x2f, 0xfd), /Zstandard/],
  ['7-Zip', bytes(0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c), /7-Zip/],
  ['tar', tar, /tar archive/],
  ['HDF5', bytes(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a), /HDF5/],
  ['TensorFlow Lite', bytes(0x1c, 0, 0, 0, 0x54, 0x46, 0x4c, 0x33), /TensorFlow Lite/],
  ['the format of ONNX Runtime', bytes(0x1c, 0, 0, 0, 0x4f, 0x52, 0x54, 0x4d), /ONNX Runtime's own format/],
  ['GGML', text('tjgg\u0003\0\0\0aaaaaaaa'), /before GGUF/],
  ['Parquet', text('PAR1\u0015\u0004\u0015\u0010'), /Parquet/],
];

describe('a file that is something else under a model name', () => {
  test.for(foreign)('%s', async ([, content, words], { folder }) => {
    const paths = ['model.safetensors', 'model.onnx', 'model.gguf', 'model.loomq', 'model.npy', 'model', 'model.bin'].map((name) =>
      writeInto(folder, name, content),
    );
    const directory = writeHeaderModel(folder, 'directory', {});
    paths.push(writeInto(directory, 'model.safetensors', content));
    for (const path of paths) {
      const { code, message, details } = await failureOf(() => openContainer(path.startsWith(directory) ? directory : path));
      expect([code, details?.['diagnostic']]).toEqual(['unsupported', 'foreign-file']);
      expect(message).toMatch(words);
      expect(message.startsWith(path)).toBe(true);
    }
  });

  test('config.json, the index, a shard and external data of ONNX are named as well', async ({ folder }) => {
    const broken = writeHeaderModel(folder, 'broken', {});
    const config = writeInto(broken, 'config.json', pointer);
    expect((await failureOf(() => openContainer(broken))).message).toMatch(new RegExp(`^${config} is a Git LFS pointer`));
    const sharded = join(folder, 'sharded');
    mkdirSync(sharded);
    writeFileSync(join(sharded, 'config.json'), '{}');
    const index = writeInto(sharded, 'model.safetensors.index.json', pointer);
    expect((await failureOf(() => openContainer(sharded))).message).toMatch(new RegExp(`^${index} is a Git LFS pointer`));
    writeFileSync(index, JSON.stringify({ weight_map: { a: 'one.safetensors' } }));
    const shard = writeInto(sharded, 'one.safetensors', pointer);
    expect((await failureOf(() => openContainer(sharded))).message).toMatch(new RegExp(`^${shard} is a Git LFS pointer`));
  });

  test('models and ordinary texts are not taken for something else', () => {
    for (const content of [
      rawSafetensors(text('{"a":{}}'), 0),
      text('GGUF\u0003\0\0\0'),
      bytes(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59),
      // An ONNX file begins with its IR version.
      bytes(0x08, 0x0a, 0x12, 0x07),
      text('{"architectures": ["LlamaForCausalLM"]}'),
      text('version 2 of something'),
      text('x,y,label\n1,2,3\n'),
      new Uint8Array(0),
    ])
      expect(recognizeForeign(content)).toBeUndefined();
  });
});

test('what the official readers take is read: no metadata as null, and numbers of Python', async ({ folder }) => {
  const file = writeInto(
    folder,
    'null.safetensors',
    rawSafetensors(text('{"__metadata__":null,"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'), 1),
  );
  const container = await openContainer(file);
  expect([[...container.tensors.keys()], container.metadata]).toEqual([['a'], {}]);
  await container.close();
  const wrong = writeInto(folder, 'wrong.safetensors', rawSafetensors(text('{"__metadata__":nul,"a":{}}'), 1));
  expect(await failureOf(() => openContainer(wrong))).toMatchObject({ code: 'malformed-file' });

  const model = writeHeaderModel(folder, 'model', { 'a.weight': ['F32', 2, 2] });
  writeFileSync(
    join(model, 'config.json'),
    '{"time_step_limit": [0.0, Infinity], "low": -Infinity, "loss": NaN, "text": "NaN and \\"Infinity\\"", "n": 1}',
  );
  const opened = await openContainer(model);
  expect(opened.config).toEqual({ time_step_limit: [0, Infinity], low: -Infinity, loss: 'NaN', text: 'NaN and "Infinity"', n: 1 });
  await opened.close();
  writeFileSync(join(model, 'config.json'), '{"n": Infinityy}');
  expect(await failureOf(() => openContainer(model))).toMatchObject({ code: 'malformed-file' });
});
