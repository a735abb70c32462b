import { LoomweightError } from '../../protocol/errors';

/** Token ids split into windows of equal length. */
export interface TextWindows {
  readonly window: number;
  readonly count: number;
  /** [count * window]: the tokens to predict. */
  readonly targets: Int32Array;
}

/**
 * Splits token ids into consecutive windows; a shorter remainder is dropped. `limit` keeps the first windows. Errors: `invalid-argument` if
 * not even one window can be filled.
 */
export function cutWindows(ids: ArrayLike<number>, window: number, limit?: number): TextWindows {
  if (!Number.isSafeInteger(window) || window < 2)
    throw new LoomweightError('invalid-argument', `A window needs at least 2 tokens, got ${window}.`, { window });
  if (limit !== undefined && (!Number.isSafeInteger(limit) || limit < 1))
    throw new LoomweightError('invalid-argument', `The number of windows must be at least 1, got ${limit}.`, { limit });
  const count = Math.min(Math.floor(ids.length / window), limit ?? Infinity);
  if (count === 0)
    throw new LoomweightError(
      'invalid-argument',
      `The text has ${ids.length} tokens, but a window needs ${window}. Use a longer text or a smaller window.`,
      { tokens: ids.length, window },
    );
  const targets = new Int32Array(count * window);
  for (let index = 0; index < targets.length; index += 1) targets[index] = ids[index] as number;
  return { window, count, targets };
}

/**
 * Input of the model for some windows, int64 [count, length]: with a BOS, BOS and the window's first tokens (length = window); without, the
 * window's tokens except the last (length = window - 1).
 */
export function inputIds({ window, targets }: TextWindows, first: number, count: number, bos: number | undefined): BigInt64Array {
  const length = bos === undefined ? window - 1 : window;
  const ids = new BigInt64Array(count * length);
  for (let row = 0; row < count; row += 1) {
    const source = (first + row) * window;
    const start = row * length;
    if (bos !== undefined) ids[start] = BigInt(bos);
    const offset = bos === undefined ? 0 : 1;
    for (let column = offset; column < length; column += 1) ids[start + column] = BigInt(targets[source + column - offset] as number);
  }
  return ids;
}

/** Targets of the same windows, int64 [count, length]: all tokens with a BOS, all except the first without. */
export function targetIds({ window, targets }: TextWindows, first: number, count: number, bos: number | undefined): BigInt64Array {
  const skipped = bos === undefined ? 1 : 0;
  const length = window - skipped;
  const ids = new BigInt64Array(count * length);
  for (let row = 0; row < count; row += 1)
    for (let column = 0; column < length; column += 1)
      ids[row * length + column] = BigInt(targets[(first + row) * window + column + skipped] as number);
  return ids;
}
