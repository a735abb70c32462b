import type { TextTokenizer } from '../text/tokenizer';

/** What decoders write for bytes that are no complete character. */
const incomplete = /\uFFFD+$/;

/** The text of tokens that come bit by bit, behind a prompt. */
export class TextSoFar {
  private readonly made: number[] = [];
  private readonly before: string;

  constructor(
    private readonly tokenizer: TextTokenizer,
    private readonly prompt: readonly number[],
  ) {
    this.before = tokenizer.decode(prompt);
  }

  add(tokens: readonly number[]): void {
    this.made.push(...tokens);
  }

  get tokens(): number {
    return this.made.length;
  }

  /** Behind the prompt. Decoded together with it: some tokenizers take the space before the first word away. */
  get whole(): string {
    const text = this.tokenizer.decode([...this.prompt, ...this.made]);
    return text.startsWith(this.before) ? text.slice(this.before.length) : this.tokenizer.decode(this.made);
  }

  /** The same without a last character whose bytes may not all be there. */
  get stable(): string {
    return this.whole.replace(incomplete, '');
  }
}
