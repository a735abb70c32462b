import { expect, test } from 'vitest';
import { TextStream } from '../../../src/cli/textStream';

/** What is written for a series of snapshots. */
function written(...snapshots: readonly string[]): readonly string[] {
  const parts: string[] = [];
  const stream = new TextStream({ writeOut: (text) => void parts.push(text) });
  for (const text of snapshots) stream.show(text);
  stream.end();
  return parts;
}

test('each snapshot adds what is new, and the last line ends', () => {
  expect(written('It', 'It', 'It was', 'It was dark.')).toEqual(['It', ' was', ' dark.', '\n']);
  expect(written('Done.\n')).toEqual(['Done.\n']);
  expect(written('')).toEqual([]);
  expect(written()).toEqual([]);
});
