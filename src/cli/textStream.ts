import type { Terminal } from './terminal';

/** Writes a growing text to stdout: from each snapshot, what is new. */
export class TextStream {
  private shown = '';

  constructor(private readonly terminal: Pick<Terminal, 'writeOut'>) {}

  /** `text` is everything so far. What has been written stays, also if a decoder would now write it differently. */
  show(text: string): void {
    if (text.length <= this.shown.length) return;
    this.terminal.writeOut(text.slice(this.shown.length));
    this.shown = text;
  }

  /** Ends the last line. */
  end(): void {
    if (this.shown !== '' && !this.shown.endsWith('\n')) this.terminal.writeOut('\n');
  }
}
