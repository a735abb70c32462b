import { LoomweightError } from '../../protocol/errors';

/**
 * Throws `malformed-file` if a tokenizer produced a token that the model's vocabulary does not contain: the two belong to different models.
 * @param vocabularySize number of rows of the model's embedding
 */
export function checkTokens(tokens: ArrayLike<number>, vocabularySize: number): void {
  for (let index = 0; index < tokens.length; index += 1) {
    const token = tokens[index] as number;
    if (token < vocabularySize) continue;
    throw new LoomweightError(
      'malformed-file',
      `The tokenizer produced token ${token}, but the model's vocabulary ends at ${vocabularySize - 1}. Use the tokenizer.json of this model.`,
      { token, vocabularySize },
    );
  }
}
