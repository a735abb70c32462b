import * as vscode from 'vscode';
import { commandTarget, printableLines } from '../../common/shown';

/** A Markdown document, made of text that is never markup and of a few forms of markup. */
export class Markdown {
  /** What VS Code takes. */
  readonly content: vscode.MarkdownString;

  /** `commands`: the only commands that its links may run. */
  constructor(commands: readonly string[] = []) {
    this.content = new vscode.MarkdownString();
    if (commands.length > 0) this.content.isTrusted = { enabledCommands: commands };
  }

  /** Text as it is. */
  text(text: string): this {
    this.content.appendText(printableLines(text));
    return this;
  }

  bold(text: string): this {
    this.content.appendMarkdown('**');
    this.text(text);
    this.content.appendMarkdown('**');
    return this;
  }

  /** Ends the line, or with `paragraph` the paragraph. */
  end(kind: 'line' | 'paragraph'): this {
    this.content.appendMarkdown(kind === 'line' ? '  \n' : '\n\n');
    return this;
  }

  /** A table of one row under its headings. Wide spaces keep the columns apart: hovers draw tables without any room. */
  table(columns: readonly (readonly [heading: string, value: string])[]): this {
    const row = (cells: readonly string[]) => {
      for (const cell of cells) {
        this.content.appendMarkdown('| ');
        this.text(cell);
        this.content.appendMarkdown('&emsp;');
      }
      this.content.appendMarkdown('|\n');
    };
    row(columns.map(([heading]) => heading));
    this.content.appendMarkdown(`|${columns.map(() => ':---').join('|')}|\n`);
    row(columns.map(([, value]) => value));
    this.content.appendMarkdown('\n');
    return this;
  }

  /** An SVG of our own with its text alternative, which holds no brackets. */
  picture(svg: string, alternative: string): this {
    this.content.appendMarkdown(`![${alternative}](data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')})\n\n`);
    return this;
  }

  /** A link that runs a command with arguments. */
  command(label: string, command: string, args: readonly string[]): this {
    this.content.appendMarkdown('[');
    this.text(label);
    this.content.appendMarkdown(`](${commandTarget(command, args)})`);
    return this;
  }
}
