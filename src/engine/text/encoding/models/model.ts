/** Turns pieces of text into token ids. */
export interface TokenModel {
  /** Ids of the vocabulary, by token. */
  readonly vocabulary: ReadonlyMap<string, number>;
  /** Appends the ids of a piece to `ids`. */
  encode(piece: string, ids: number[]): void;
}

/** Ids of the tokens `<0x00>` to `<0xFF>` that a vocabulary has for the bytes of a text; undefined where one is missing. */
export function byteFallback(text: string, vocabulary: ReadonlyMap<string, number>): readonly number[] | undefined {
  const ids: number[] = [];
  for (const byte of new TextEncoder().encode(text)) {
    const id = vocabulary.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
    if (id === undefined) return undefined;
    ids.push(id);
  }
  return ids;
}
