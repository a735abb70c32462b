import { expect, test } from 'vitest';
import { readPreTokenizer } from '../../../src/engine/text/encoding/preTokenizers';
import { readTestJson } from '../../support/formatFiles';

/** test/golden/patterns.json: how Oniguruma splits each text by each pattern (test/golden/make/patterns.py). */
interface PatternGolden {
  readonly texts: readonly string[];
  readonly patterns: readonly { readonly pattern: string; readonly pieces: readonly (readonly string[])[] }[];
}

/** What JavaScript cannot express: each would give other pieces for some text. */
const refused: Readonly<Record<string, RegExp>> = {
  'a{2}?': /an optional interval/,
  '(?i:straße|k)': /ignores the case of letters such as ß/,
  '(?i:teST)': /ignores the case of letters such as ß/,
  '(?i:first|ab)': /ignores the case of letters such as ß/,
};

const golden = readTestJson<PatternGolden>('golden/patterns.json');

test.for(golden.patterns)('$pattern splits as Oniguruma does, or is refused by name', ({ pattern, pieces }) => {
  const read = () => readPreTokenizer({ pre_tokenizer: { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated' } });
  const reason = refused[pattern];
  if (reason) {
    expect(read).toThrow(reason);
    return;
  }
  const splitter = read();
  for (const [index, text] of golden.texts.entries())
    expect(splitter?.split({ text, first: true }).map((piece) => piece.text)).toEqual(pieces[index]);
});
