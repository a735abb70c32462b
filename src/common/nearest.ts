/**
 * The most likely candidate for a mistyped word, or undefined if none is close.
 * Close: an edit distance (insertions, deletions, substitutions, swaps of adjacent letters) of at most a third of the word's
 * length (at least 1 for words of two or more letters), or a candidate that starts with the word. Case is ignored.
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  // Long input cannot be a typo of a short name; the limit also bounds the work on hostile input.
  if (word.length === 0 || word.length > 100) return undefined;
  const wanted = word.toLowerCase();
  const allowed = Math.max(word.length > 1 ? 1 : 0, Math.floor(word.length / 3));
  let best: string | undefined;
  let bestDistance = allowed + 1;
  for (const candidate of candidates) {
    // So many letters have to be inserted or deleted at least.
    if (Math.abs(candidate.length - word.length) >= bestDistance) continue;
    const distance = editDistance(wanted, candidate.toLowerCase(), bestDistance);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best ?? (word.length > 2 ? candidates.find((candidate) => candidate.toLowerCase().startsWith(wanted)) : undefined);
}

/** Edit distance: inserts, deletes, substitutions and swaps of adjacent letters that turn one word into the other. From `limit` on it may be any number of at least that. */
function editDistance(first: string, second: string, limit: number): number {
  const width = second.length + 1;
  let beforeLast: number[] = [];
  let last = Array.from({ length: width }, (_, column) => column);
  for (let row = 1; row <= first.length; row += 1) {
    const current = [row];
    for (let column = 1; column < width; column += 1) {
      const same = first[row - 1] === second[column - 1];
      let edits = Math.min(
        (last[column] as number) + 1,
        (current[column - 1] as number) + 1,
        (last[column - 1] as number) + (same ? 0 : 1),
      );
      if (row > 1 && column > 1 && first[row - 1] === second[column - 2] && first[row - 2] === second[column - 1])
        edits = Math.min(edits, (beforeLast[column - 2] as number) + 1);
      current.push(edits);
    }
    // A later row is at least as large as the smaller of the last two.
    if (Math.min(...current) >= limit && Math.min(...last) >= limit) return limit;
    beforeLast = last;
    last = current;
  }
  return last[width - 1] as number;
}

/** ` Did you mean 'bits'?` if a candidate is close, otherwise the empty string. Starts with a space, so that it can follow a sentence. */
export function suggestion(word: string, candidates: readonly string[]): string {
  const candidate = nearest(word, candidates);
  return candidate === undefined ? '' : ` Did you mean '${candidate}'?`;
}
