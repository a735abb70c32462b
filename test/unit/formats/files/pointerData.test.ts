import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { checkDataHeaders } from '../../../../src/engine/evaluate/data/checkDataHeaders';
import { readDataSplit } from '../../../../src/engine/evaluate/data/readDataSplit';
import { readTable } from '../../../../src/engine/evaluate/data/readTable';
import { tableMemory } from '../../../../src/engine/evaluate/data/tableMemory';
import { readText } from '../../../../src/engine/formats/files/readText';
import { loadTokenizer } from '../../../../src/engine/text/tokenizer';
import { openSource } from '../../../../src/engine/models/modelSource';
import { projectRoot } from '../../../support/sourceTree';
import { encodeNpy } from '../../../support/encodeNpy';
import { test } from '../../../support/fixtures';
import { failureOf, writeInto } from '../../../support/formatFiles';

const text = (content: string) => new TextEncoder().encode(content);
const pointer = text(
  'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n',
);
const inputs = [{ name: 'x', dtype: 'float32', shape: ['batch', 2] }] as const;

test.for<readonly [name: string, read: (file: string, folder: string) => Promise<unknown>]>([
  ['table.csv', (file) => readTable(file)],
  ['table.parquet', (file) => readTable(file)],
  ['forecast.parquet', (file) => tableMemory(file)],
  ['before.csv', (file) => checkDataHeaders(file, 'train', inputs)],
  ['text.txt', (file) => readText(file)],
  ['samples.jsonl', (file) => readText(file)],
  ['tokenizer.json', (_, folder) => loadTokenizer([folder])],
  ['train-x.npy', (_, folder) => readDataSplit({ data: folder, split: 'train', inputs, columns: {} })],
  ['val-x.npy', (_, folder) => checkDataHeaders(folder, 'val', inputs)],
])('%s that is a Git LFS pointer is named as such', async ([name, read], { folder }) => {
  for (const split of ['train', 'val']) writeInto(folder, `${split}-label.npy`, encodeNpy('uint8', [1], Uint8Array.of(1)));
  const file = writeInto(folder, name, pointer);
  const { code, message, details } = await failureOf(() => read(file, folder));
  expect([code, details?.['diagnostic']]).toEqual(['unsupported', 'foreign-file']);
  expect(message).toBe(
    `${file} is a Git LFS pointer, a text of some lines in place of the file. Run 'git lfs pull' in its repository, or download the file itself.`,
  );
});

test('a companion of a model that is a pointer is refused before it is copied beside a result', async ({ folder }) => {
  const model = join(folder, 'model');
  cpSync(join(projectRoot, 'media/samples/loom-base'), model, { recursive: true });
  await (await openSource(model)).container.close();
  const file = writeInto(model, 'generation_config.json', pointer);
  expect((await failureOf(() => openSource(model))).message).toMatch(`${file} is a Git LFS pointer`);
});

test('data that is a web page or a packed file is named where it cannot be read; a page may be a text', async ({ folder }) => {
  const page = text('<!DOCTYPE html>\n<html><body>a, b\n"c", d, e</body></html>');
  expect((await failureOf(() => readTable(writeInto(folder, 'page.csv', page)))).message).toMatch(
    /is a web page.*Download the file itself/,
  );
  const packed = writeInto(folder, 'table.csv.gz', Uint8Array.of(0x1f, 0x8b, 8, 0, 0xff, 0xfe));
  expect((await failureOf(() => readTable(packed))).message).toMatch(/compressed with gzip\. Unpack it and name the file inside/);
  writeInto(folder, 'train-label.npy', page);
  expect((await failureOf(() => checkDataHeaders(folder, 'train', inputs))).message).toMatch(/train-label\.npy is a web page/);
  expect(await readText(join(folder, 'page.csv'))).toContain('<body>');
});
