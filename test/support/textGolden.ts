import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';

const root = join(__dirname, '..', '..');

/**
 * Compares text with a file under test/golden. A difference writes the text beside it as `.actual`; UPDATE_GOLDENS=1 takes the
 * text over instead, for changes that have been read and are meant.
 */
export async function checkText(path: string, actual: string): Promise<void> {
  const file = join(root, path);
  if (process.env['UPDATE_GOLDENS'] === '1') {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, actual);
    return;
  }
  const expected = (await readFile(file, 'utf8').catch(() => '')).replaceAll('\r\n', '\n');
  if (expected === actual) return void (await rm(`${file}.actual`, { force: true }));
  await writeFile(`${file}.actual`, actual);
  expect(actual).toBe(expected);
}
