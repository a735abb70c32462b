import { expect, test } from 'vitest';
import { wholeNumber } from '../../../src/engine/architectures/decoder/configReader';

test.each(['num_hidden_layers', 'num_attention_heads', 'num_key_value_heads', 'head_dim'])(
  '%s beyond that of any model is refused by name, before anything is built from it',
  (key) => {
    for (const value of [2 ** 27, 2 ** 40, Number.MAX_SAFE_INTEGER]) expect(() => wholeNumber({ [key]: value }, key)).toThrow(key);
    expect(wholeNumber({ [key]: 128 }, key)).toBe(128);
  },
);
