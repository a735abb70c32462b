import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { loadTokenizer, TextTokenizer } from '../../../src/engine/text/tokenizer';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const golden = JSON.parse(readFileSync(path.join(root, 'test/golden/tokenizer.json'), 'utf8')) as {
  texts: readonly { text: string; count: number; first: readonly number[]; idsSha256: string }[];
  samples: readonly { text: string; ids: readonly number[] }[];
};
const loomBase = () => loadTokenizer([path.join(root, 'media/samples/loom-base')]);

test.each(golden.samples)('encodes $text like the Python library', async ({ text, ids }) => {
  expect((await loomBase()).encode(text)).toEqual(ids);
});

test('encodes a whole text like the Python library', async () => {
  const expected = golden.texts.find(({ text }) => text === 'eval-play')!;
  const ids = (await loomBase()).encode(readFileSync(path.join(root, 'test/fixtures/text/eval-play.txt'), 'utf8'));
  expect(ids.length).toBe(expected.count);
  expect(ids.slice(0, expected.first.length)).toEqual(expected.first);
  expect(createHash('sha256').update(JSON.stringify(ids)).digest('hex')).toBe(expected.idsSha256);
});

test('BOS is bos_token of tokenizer_config, else bos_token_id of config, else none', () => {
  const file = JSON.parse(readFileSync(path.join(root, 'media/samples/loom-base/tokenizer.json'), 'utf8')) as Record<string, unknown>;
  expect(new TextTokenizer(file, { bos_token: '</s>' }).beginning(0)?.id).toBe(1);
  expect(new TextTokenizer(file, { bos_token: { content: '</s>' } }).beginning(0)?.id).toBe(1);
  expect(new TextTokenizer(file, { bos_token: null }).beginning(7)?.id).toBe(7);
  expect(new TextTokenizer(file, {}).beginning(undefined)).toBeUndefined();
});

test('a folder without a tokenizer is an error', async () => {
  await expect(loadTokenizer([path.join(root, 'src')])).rejects.toMatchObject({ code: 'not-found' });
});
