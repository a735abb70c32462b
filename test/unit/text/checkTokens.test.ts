import { expect, test } from 'vitest';
import { checkTokens } from '../../../src/engine/text/checkTokens';

test('tokens of the vocabulary pass, others are refused with the token and the vocabulary', () => {
  expect(() => checkTokens([0, 95, 3], 96)).not.toThrow();
  expect(() => checkTokens(Int32Array.of(0, 96, 200), 96)).toThrow(
    expect.objectContaining({
      code: 'malformed-file',
      message: "The tokenizer produced token 96, but the model's vocabulary ends at 95. Use the tokenizer.json of this model.",
      details: { token: 96, vocabularySize: 96 },
    }),
  );
});
