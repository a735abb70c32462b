/** Parses `input=pixel_*, label=digit`; undefined if it is not such a list. */
export function parseColumns(text: string): Readonly<Record<string, string>> | undefined {
  const pairs = text
    .split(',')
    .map((part) => /^\s*([^=]+?)\s*=\s*(.+?)\s*$/.exec(part))
    .map((match) => (match ? ([match[1] as string, match[2] as string] as const) : undefined));
  return pairs.every((pair) => pair !== undefined) ? Object.fromEntries(pairs) : undefined;
}
