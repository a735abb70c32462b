/** Scripts that are told apart, by their Unicode names. */
const scripts = [
  'Latin',
  'Cyrillic',
  'Greek',
  'Arabic',
  'Hebrew',
  'Devanagari',
  'Bengali',
  'Tamil',
  'Thai',
  'Hangul',
  'Han',
  'Hiragana',
  'Katakana',
] as const;

/**
 * Shares of the scripts among the letters of a text (Unicode category L), largest first; letters of other scripts are `other`. Empty for a text without letters. A script tells languages apart only
 * coarsely, but shows at once when a model writes in another than it is meant for.
 */
export function scriptShares(text: string): readonly { readonly script: string; readonly share: number }[] {
  const count = (pattern: string): number => text.match(new RegExp(pattern, 'gu'))?.length ?? 0;
  const letters = count('\\p{L}');
  if (letters === 0) return [];
  const counts = scripts.map((script) => ({ script: script as string, letters: count(`(?=\\p{L})\\p{Script=${script}}`) }));
  const rest = letters - counts.reduce((sum, each) => sum + each.letters, 0);
  return [...counts, { script: 'other', letters: rest }]
    .filter((each) => each.letters > 0)
    .sort((a, b) => b.letters - a.letters)
    .map((each) => ({ script: each.script, share: each.letters / letters }));
}
