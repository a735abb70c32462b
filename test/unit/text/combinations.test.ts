import { expect, test } from 'vitest';
import { LoomweightError } from '../../../src/protocol/errors';
import { combinations, digestOf, encodeAll, readTokenizerGolden } from '../../support/tokenizerCombinations';

/** Every so many combinations are tried; LOOMWEIGHT_ALL_TOKENIZERS=1 tries all 18,000, in two minutes. */
const step = process.env['LOOMWEIGHT_ALL_TOKENIZERS'] === '1' ? 1 : 29;

test('every combination of model, normaliser, pre-tokeniser and added tokens gives the tokens of the Python library, or is refused by name', async () => {
  const golden = readTokenizerGolden();
  const digests = Buffer.from(golden.digests, 'base64').toString('hex');
  const all = [...combinations(golden)];
  expect(digests).toHaveLength(4 * all.length);
  const wrong: unknown[] = [];
  const refused = new Map<string, number>();
  let tried = 0;
  for (const [index, at] of all.entries()) {
    // The twenty-ninth of every row of pre-tokenisers and normalisers falls on another part each time.
    if (index % step !== 0) continue;
    tried += 1;
    // Lets the runner hear of progress.
    if (tried % 200 === 0) await new Promise(setImmediate);
    const ids = encodeAll(golden, at);
    if (ids instanceof LoomweightError) {
      expect(ids).toMatchObject({ code: 'unsupported', details: { diagnostic: 'unsupported-tokenizer' } });
      const feature = String(ids.details?.['feature']);
      refused.set(feature, (refused.get(feature) ?? 0) + 1);
    } else if (digestOf(ids) !== digests.slice(4 * index, 4 * index + 4)) wrong.push(at);
  }
  expect(wrong).toEqual([]);
  expect([...refused.keys()]).toEqual(["the prepend scheme 'first' of Metaspace after a normaliser that may remove characters"]);
  const count = [...refused.values()].reduce((sum, each) => sum + each, 0);
  expect(count / tried).toBeLessThan(0.04);
}, 600_000);
