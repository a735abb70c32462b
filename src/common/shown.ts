/**
 * Strings that come from files, paths or models are text wherever they are shown: they cannot become links, icons, markup or commands of a terminal.
 * This module is the only one that escapes; each place has its own function, and each sink takes only what is shown there.
 */

declare const place: unique symbol;

/** Where a text is shown. */
export type Place =
  /** A notification, a progress title, the prompt of an input box: VS Code makes links of `[label](target)` there. */
  | 'message'
  /** An item of a list, or the status bar: VS Code draws icons for `$(name)` there. */
  | 'item'
  /** One plain line: a row of a tree, a title, an element of a page. */
  | 'line'
  /** Several plain lines: a tooltip, a diagnostic. */
  | 'lines'
  /** An entry of the output channel. */
  | 'log'
  /** A terminal. */
  | 'terminal';

/** Text that is escaped for one place. Only the functions of this module make it. */
export type Shown<Where extends Place> = string & { readonly [place]: Where };

/** C0 and C1 controls (terminal sequences), marks of writing direction, characters without width, separators of lines and paragraphs, tags and other formats that are invisible. */
const formats = String.raw`[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]`;
/** A letter or mark of a script that joins its letters. */
const joined = String.raw`(?![\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}])[\p{L}\p{M}]`;
/** What stands before and after the joiner inside an emoji. */
const [emojiBefore, emojiAfter] = [String.raw`[\p{Extended_Pictographic}\p{Emoji_Modifier}]`, String.raw`\p{Extended_Pictographic}`];

/**
 * Characters that are not text. A joiner or non-joiner (U+200D, U+200C) is text where spelling needs it: between letters or marks of a script
 * that joins them, as Persian and Hindi do, and a joiner also within an emoji. Elsewhere two names could differ by it and look the same.
 */
const invisible = new RegExp(
  [
    formats,
    `(?<!${joined})\\u200c`,
    `\\u200c(?!${joined})`,
    `(?<!${joined}|${emojiBefore})\\u200d`,
    `\\u200d(?!${joined}|${emojiAfter})`,
  ].join('|'),
  'gu',
);

/** Characters that JSON may hold as they are, but a terminal or a reader must not get. */
const unsafeInJson = /[\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** One line of text: every character of `invisible` becomes `?`. */
export function printable(text: string): Shown<'line'> {
  return text.replace(invisible, '?') as Shown<'line'>;
}

/** Lines of text: as `printable`, but lines end where they ended. */
export function printableLines(text: string): Shown<'lines'> {
  return text.split(/\r?\n/).map(printable).join('\n') as Shown<'lines'>;
}

/** One line for a place where `[label](target)` is a link: the two brackets are kept apart. Line ends become spaces. */
export function messageText(text: string): Shown<'message'> {
  return printable(text.replace(/\r?\n/g, ' ')).replace(/\](?=\()/g, '] ') as string as Shown<'message'>;
}

/** One line for a place where `$(name)` is an icon: VS Code shows an escaped icon as it is written. */
export function itemText(text: string): Shown<'item'> {
  return printable(text.replace(/\r?\n/g, ' ')).replace(/\$\((?=[\w~-]+\))/g, '\\$(') as string as Shown<'item'>;
}

/** An icon of VS Code before a text of a list. `icon`: its name, written in our code. */
export function withIcon(icon: string, text: Shown<'item'>): Shown<'item'> {
  return `$(${icon}) ${text}` as Shown<'item'>;
}

/** An entry of the log: further lines are indented, so that none looks like an entry of its own. */
export function logText(text: string): Shown<'log'> {
  return printableLines(text).replace(/\n/g, '\n    ') as string as Shown<'log'>;
}

/** Lines for a terminal. Tabs are kept; line ends are those of the text, so names inside it must be `printable`. */
export function terminalText(text: string): Shown<'terminal'> {
  return text.replace(invisible, (character) => (character === '\n' || character === '\t' ? character : '?')) as Shown<'terminal'>;
}

/** Any JSON value as one document: strings stay what they are, and characters that a terminal would obey are written as `\u` escapes. */
export function jsonText(value: unknown, indent?: number): string {
  const text: string | undefined = JSON.stringify(value, undefined, indent);
  return (text ?? 'null').replace(unsafeInJson, escaped).replace(/\udb40[\udc00-\udc7f]/g, (tag) => tag.split('').map(escaped).join(''));
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/**
 * Target of a Markdown link that runs a command with arguments. Round brackets are encoded too: they would end the link, and names and paths
 * may hold them.
 */
export function commandTarget(command: string, args: readonly string[]): string {
  const encoded = encodeURIComponent(JSON.stringify(args)).replace(/[()]/g, (bracket) => (bracket === '(' ? '%28' : '%29'));
  return `command:${command}?${encoded}`;
}
