import { unsupportedFeature } from './entries';

/** A piece of a text on its way to the model. */
export interface Piece {
  readonly text: string;
  /** True if it starts where the whole text starts. */
  readonly first: boolean;
}

/** A stretch of a text, and whether a pattern matched it. */
export interface Stretch {
  start: number;
  end: number;
  readonly matched: boolean;
}

/** What becomes of the matches of a pattern. */
export type SplitBehavior = 'Removed' | 'Isolated' | 'MergedWithPrevious' | 'MergedWithNext' | 'Contiguous';

const behaviors: readonly SplitBehavior[] = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'];

/** The behaviour that an entry names. */
export function readBehavior(value: unknown, fallback: SplitBehavior): SplitBehavior {
  const found = value === undefined ? fallback : behaviors.find((behavior) => behavior === value);
  if (found) return found;
  throw unsupportedFeature(`the split behaviour ${JSON.stringify(value)}`);
}

/** The whole text as stretches: those that a pattern matches, and those between. `pattern` is global. */
export function stretchesOf(text: string, pattern: RegExp, invert = false): readonly Stretch[] {
  const stretches: Stretch[] = [];
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    const start = match.index;
    if (end < start) stretches.push({ start: end, end: start, matched: invert });
    end = start + match[0].length;
    stretches.push({ start, end, matched: !invert });
  }
  if (end < text.length) stretches.push({ start: end, end: text.length, matched: invert });
  return stretches;
}

/** Splits at the stretches that matched; empty pieces are dropped. */
export function splitPieces({ text, first }: Piece, stretches: readonly Stretch[], behavior: SplitBehavior): readonly Piece[] {
  const pieces: Piece[] = [];
  for (const { start, end } of joinStretches(stretches, behavior))
    if (end > start) pieces.push({ text: text.slice(start, end), first: first && start === 0 });
  return pieces;
}

function joinStretches(stretches: readonly Stretch[], behavior: SplitBehavior): readonly Stretch[] {
  switch (behavior) {
    case 'Isolated':
      return stretches;
    case 'Removed':
      return stretches.filter(({ matched }) => !matched);
    case 'Contiguous':
      return joinForward(stretches, (matched, previous) => matched === previous);
    case 'MergedWithPrevious':
      return joinForward(stretches, (matched, previous) => matched && !previous);
    case 'MergedWithNext':
      return joinBackward(stretches);
  }
}

/** The first stretch is compared with one that did not match. */
function joinForward(stretches: readonly Stretch[], joins: (matched: boolean, previous: boolean) => boolean): readonly Stretch[] {
  const joined: Stretch[] = [];
  let previous = false;
  for (const stretch of stretches) {
    const last = joined.at(-1);
    if (last && joins(stretch.matched, previous)) last.end = stretch.end;
    else joined.push({ ...stretch });
    previous = stretch.matched;
  }
  return joined;
}

function joinBackward(stretches: readonly Stretch[]): readonly Stretch[] {
  const joined: Stretch[] = [];
  let previous = false;
  for (let index = stretches.length - 1; index >= 0; index -= 1) {
    const stretch = stretches[index] as Stretch;
    const last = joined.at(-1);
    if (last && stretch.matched && !previous) last.start = stretch.start;
    else joined.push({ ...stretch });
    previous = stretch.matched;
  }
  return joined.reverse();
}
