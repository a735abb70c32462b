/**
 * The number of characters that all names share at their start and end, cut at dots: `model.layers.0.q.weight` and
 * `model.layers.1.k.weight` share `model.layers.` and `.weight`. Zero for fewer than two names, or if a name would be left empty.
 */
export function commonEnds(names: readonly string[]): { readonly start: number; readonly end: number } {
  const [first = '', ...rest] = names;
  if (rest.length === 0) return { start: 0, end: 0 };
  let [start, end] = [first.length, first.length];
  for (const name of rest) {
    let length = 0;
    while (length < start && name[length] === first[length]) length += 1;
    start = length;
    length = 0;
    while (length < end && name[name.length - 1 - length] === first[first.length - 1 - length]) length += 1;
    end = length;
  }
  start = first.lastIndexOf('.', start - 1) + 1;
  const dot = first.indexOf('.', first.length - end);
  end = dot < 0 ? 0 : first.length - dot;
  return names.every((name) => name.length > start + end) ? { start, end } : { start: 0, end: 0 };
}
