import { byteLevel, isSpace, lowerCase, spaces, whiteSpace } from './characters';
import { flagOf, listOf, objectOf, readComponent, textOf, type Entries } from './entries';
import { readPattern } from './patterns';

/** What is done to a text before it is split. */
export interface Normalizer {
  apply(text: string): string;
  /** False if it may take away characters from the start of a text. */
  readonly keepsStart: boolean;
}

type Read = (entries: Entries, where: string) => Normalizer;

const keeping = (apply: (text: string) => string): Normalizer => ({ apply, keepsStart: true });
const removing = (apply: (text: string) => string): Normalizer => ({ apply, keepsStart: false });

const normalizers: Readonly<Record<string, Read>> = {
  Sequence: (entries, where) => {
    const parts = listOf(entries, 'normalizers', where).map((part, index) => readOne(part, `${where}.normalizers[${index}]`));
    return {
      apply: (text) => parts.reduce((result, part) => part.apply(result), text),
      keepsStart: parts.every((part) => part.keepsStart),
    };
  },
  BertNormalizer: readBert,
  NFC: () => keeping((text) => text.normalize('NFC')),
  NFD: () => keeping((text) => text.normalize('NFD')),
  NFKC: () => keeping((text) => text.normalize('NFKC')),
  NFKD: () => keeping((text) => text.normalize('NFKD')),
  Lowercase: () => keeping(lowerCase),
  ByteLevel: () => keeping(byteLevel),
  Prepend: (entries, where) => {
    const before = textOf(entries, 'prepend', where, '');
    return keeping((text) => (text === '' ? '' : before + text));
  },
  Replace: (entries, where) => {
    const pattern = readPattern(entries['pattern'], `${where}.pattern`);
    const content = textOf(entries, 'content', where, '');
    // The reference loses the start of a text where what is replaced there has another length.
    const keepsStart = pattern.source.replace(/^\\/, '').length === 1 && content.length === 1;
    return { apply: (text) => text.replace(pattern, () => content), keepsStart };
  },
  Strip: (entries, where) => {
    const left = flagOf(entries, 'strip_left', where, true);
    const right = flagOf(entries, 'strip_right', where, true);
    return removing((text) => (right ? trimEnd : same)((left ? trimStart : same)(text)));
  },
  StripAccents: () => removing((text) => text.replace(/\p{M}/gu, '')),
  Nmt: () => removing((text) => text.replace(nmtRemoved, '').replace(nmtSpaces, ' ')),
};

// eslint-disable-next-line no-control-regex
const nmtRemoved = /[\u0001-\u0008\u000b\u000e-\u001f\u007f\u008f\u009f]/g;
const nmtSpaces = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g;

/** Reads the normaliser of tokenizer.json; undefined where there is none. Errors: `unsupported` with the name of what is not applied. */
export function readNormalizer(file: Entries): Normalizer | undefined {
  const entries = objectOf(file, 'normalizer', 'the file');
  return entries && readOne(entries, 'normalizer');
}

function readOne(value: unknown, where: string): Normalizer {
  return readComponent(normalizers, value, where, 'normaliser');
}

function readBert(entries: Entries, where: string): Normalizer {
  const clean = flagOf(entries, 'clean_text', where, true);
  const chinese = flagOf(entries, 'handle_chinese_chars', where, true);
  const lower = flagOf(entries, 'lowercase', where, true);
  const accents = flagOf(entries, 'strip_accents', where, lower);
  return removing((given) => {
    let text = given;
    if (clean) text = text.replace(bertRemoved, '').replace(spaces, ' ');
    if (chinese) text = text.replace(ideographs, ' $& ');
    if (accents) text = text.normalize('NFD').replace(/\p{Mn}/gu, '');
    return lower ? lowerCase(text) : text;
  });
}

/** NUL, the replacement character, and control characters other than tab, line feed and carriage return. */
const bertRemoved = /(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\ufffd]/gu;
const ideographs =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;
const leading = new RegExp(`^[${whiteSpace}]+`, 'u');

function trimStart(text: string): string {
  return text.replace(leading, '');
}

function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && isSpace(text[end - 1] as string)) end -= 1;
  return text.slice(0, end);
}

function same(text: string): string {
  return text;
}
