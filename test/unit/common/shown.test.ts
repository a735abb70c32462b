import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { itemText, jsonText, logText, messageText, printable, printableLines, terminalText, withIcon } from '../../../src/common/shown';
import { propertySeed } from '../../support/propertySeed';

/** Strings that attack: pieces of links, icons, terminal sequences and turned text, in any order. */
const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom('[', ']', '(', ')', '](', '$(', '$(zap)', 'command:x', 'https://a.b', '\\', '`', '*', '|', '<b>', '\n', '\r\n'),
      fc.constantFrom(
        '\u001b[31m',
        '\u009b2J',
        '\u001b]0;t\u0007',
        '\u202e',
        '\u2066',
        '\u200b',
        '\u2028',
        '\ufeff',
        '\u{e0041}',
        '\u007f',
      ),
      fc.string({ unit: 'binary', maxLength: 4 }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

/** What VS Code takes for a link in a message (src/vs/base/common/linkedText.ts). */
const link = /\[([^\]]+)\]\(((?:https?:\/\/|command:|file:)[^)\s]+)(?: (["'])(.+?)(\3))?\)/i;
/** What VS Code takes for an icon in a label (src/vs/base/common/iconLabels.ts); an escaped one is text. */
const icon = /(\\)?\$\([A-Za-z0-9-]+(?:~[A-Za-z]+)?\)/g;
/** Controls, marks of direction and separators, by Unicode's own categories. */
const unseen = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u;

describe('whatever a name holds', () => {
  const check = (property: (text: string) => void) => fc.assert(fc.property(hostile, property), { seed: propertySeed, numRuns: 3000 });

  test('a message has no link', () =>
    check((text) => {
      expect(messageText(`before ${text} [x`)).not.toMatch(link);
      expect(messageText(`[a ${text}](command:b)`)).not.toMatch(link);
    }));

  test('an item has the icon of our code only', () =>
    check((text) => {
      const unescaped = (shown: string) => [...shown.matchAll(icon)].filter(([, slash]) => slash === undefined).length;
      expect(unescaped(itemText(text))).toBe(0);
      expect(unescaped(withIcon('package', itemText(text)))).toBe(1);
    }));

  test('one line stays one line, without controls, for every place', () =>
    check((text) => {
      for (const shown of [printable(text), messageText(text), itemText(text)]) expect(shown).not.toMatch(unseen);
      for (const shown of [printableLines(text), logText(text), terminalText(text)])
        expect(shown.replace(/[\n\t]/g, '')).not.toMatch(unseen);
      expect(
        logText(text)
          .split('\n')
          .slice(1)
          .every((line) => line.startsWith('    ')),
      ).toBe(true);
    }));

  test('JSON means the same and commands no terminal', () =>
    check((text) => {
      const value = { [text]: [text, 1, null] };
      expect(JSON.parse(jsonText(value))).toEqual(value);
      expect(JSON.parse(jsonText(value, 2))).toEqual(value);
      expect(jsonText(value)).not.toMatch(unseen);
    }));
});

test('plain names stay as they are, in every script', () => {
  for (const name of [
    'model.layers.0.mlp.up_proj.weight',
    'a[0](1)'.replace('](', '] ('),
    'größe 重み وزن',
    'C:\\models\\m.onnx',
    '$5 (net)',
  ])
    for (const show of [printable, printableLines, messageText, itemText, logText, terminalText]) expect(show(name)).toBe(name);
});

test('joiners stay where spelling needs them', () => {
  // Persian, Hindi, Sinhala and emoji: the joiner of a family, after a skin tone, and after a variation selector.
  for (const name of [
    'می\u200cخواهم.onnx',
    'क्\u200dष',
    'ශ්\u200dරී ලංකා',
    '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}',
    '\u{1f468}\u{1f3fd}\u200d\u{1f680}',
    '\u{1f3f3}\ufe0f\u200d\u{1f308}',
  ])
    for (const show of [printable, printableLines, messageText, itemText, logText, terminalText]) expect(show(name)).toBe(name);
});

test('a joiner that would only make two names look the same is shown', () => {
  expect(printable('weight\u200d and wei\u200cght')).toBe('weight? and wei?ght');
  expect(printable('\u200dمی\u200c')).toBe('?می?');
  expect(printable('می\u200c\u200cخواهم')).toBe('می??خواهم');
  expect(printable('\u{1f468}\u200c\u{1f469}')).toBe('\u{1f468}?\u{1f469}');
  expect(printable('вес\u200dа 1\u200d2')).toBe('вес?а 1?2');
  expect(printable('\u{e0041}a')).toBe('?a');
});

test('the link of a folder name is shown as text', () => {
  expect(messageText('Cannot read [Show the log](command:workbench.action.x?%5B%5D)/a.safetensors')).toBe(
    'Cannot read [Show the log] (command:workbench.action.x?%5B%5D)/a.safetensors',
  );
  expect(itemText('$(alert) a')).toBe('\\$(alert) a');
  expect(jsonText('\u009b\u202e\u001b')).toBe('"\\u009b\\u202e\\u001b"');
});
