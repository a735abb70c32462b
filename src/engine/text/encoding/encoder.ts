import { readAddedTokens, TokenFinder, type AddedToken } from './addedTokens';
import { unsupportedFeature, type Entries } from './entries';
import { readModel } from './models';
import type { TokenModel } from './models/model';
import { readNormalizer, type Normalizer } from './normalizers';
import { readPreTokenizer, type PreTokenizer } from './preTokenizers';
import type { Piece } from './splits';

/**
 * From texts to token ids, as tokenizer.json says: added tokens are found first, in the text as written and then in its normalised form; what is between them is split and
 * given to the model. Equal to the `tokenizers` library of Python, or refused: a part that is not applied exactly is an `unsupported` error that names it. Special
 * tokens of a post-processor are not added.
 */
export class Encoder {
  private readonly normalizer: Normalizer | undefined;
  private readonly preTokenizer: PreTokenizer | undefined;
  private readonly model: TokenModel;
  private readonly added: ReadonlyMap<string, number>;
  private readonly asWritten: TokenFinder;
  private readonly normalized: TokenFinder;

  constructor(file: Entries) {
    this.model = readModel(file);
    this.normalizer = readNormalizer(file);
    this.preTokenizer = readPreTokenizer(file);
    if (this.preTokenizer?.needsStart && this.normalizer?.keepsStart === false)
      throw unsupportedFeature(`the prepend scheme 'first' of Metaspace after a normaliser that may remove characters`);
    const tokens = readAddedTokens(file, this.model.vocabulary);
    this.added = new Map(tokens.map(({ content, id }) => [content, id]));
    const finder = (wanted: (token: AddedToken) => boolean, contentOf: (content: string) => string) =>
      new TokenFinder(tokens.filter(wanted).map((token) => [contentOf(token.content), token]));
    this.asWritten = finder(
      ({ normalized }) => !normalized,
      (content) => content,
    );
    this.normalized = finder(
      ({ normalized }) => normalized,
      (content) => this.normalizer?.apply(content) ?? content,
    );
  }

  /** Id of a token, added or of the vocabulary. */
  idOf(token: string): number | undefined {
    return this.added.get(token) ?? this.model.vocabulary.get(token);
  }

  /** Token ids of a text. */
  encode(text: string): readonly number[] {
    const ids: number[] = [];
    for (const section of this.asWritten.sections(text)) {
      if (section.id !== undefined) {
        ids.push(section.id);
        continue;
      }
      const written = text.slice(section.start, section.end);
      const normalized = this.normalizer?.apply(written) ?? written;
      for (const { start, end, id } of this.normalized.sections(normalized)) {
        if (id !== undefined) ids.push(id);
        else this.encodePiece({ text: normalized.slice(start, end), first: section.start === 0 && start === 0 }, ids);
      }
    }
    return ids;
  }

  private encodePiece(piece: Piece, ids: number[]): void {
    if (!this.preTokenizer) {
      this.model.encode(piece.text, ids);
      return;
    }
    for (const { text } of this.preTokenizer.split(piece)) if (text !== '') this.model.encode(text, ids);
  }
}
