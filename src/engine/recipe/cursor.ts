import type { RecipePosition } from '../../protocol/engine';
import type { StepKind } from '../jobs/stepKind';

/** Position of the cursor in a recipe, derived from lines and indentation. */
export interface CursorPlace {
  /** Keys of the mappings around the cursor, lists left out: `steps`, `overrides`, `parameters`. */
  readonly path: readonly string[];
  /** The key whose value is being written; undefined if a key is being written. */
  readonly key: string | undefined;
  /** Keys of the mapping at the cursor, with their plain values. */
  readonly siblings: ReadonlyMap<string, string>;
  /** Keys of the step around the cursor; empty outside of steps. */
  readonly step: ReadonlyMap<string, string>;
  /** Column of the keys of this mapping. */
  readonly column: number;
  /** True if a key needs a dash before it, because the list item does not exist yet. */
  readonly startsItem: boolean;
  /** Names under `inputs` with their paths. */
  readonly inputs: readonly (readonly [name: string, path: string])[];
  /** Names of the steps above the cursor that write models. */
  readonly earlierOutputs: readonly string[];
  /** Names of the steps above the cursor that write a file. */
  readonly earlierFiles: readonly string[];
}

/** A line that is neither empty nor a comment. */
interface Line {
  readonly index: number;
  /** Columns of the dashes before the content; `- - a` has two. */
  readonly dashes: readonly number[];
  /** Column of the content behind dashes. */
  readonly column: number;
  readonly key: string | undefined;
  readonly value: string;
}

/** Recipes are short; lines beyond this are ignored. */
const mostLines = 5000;
const keyPattern = /^(?:"([^"]{0,100})"|'([^']{0,100})'|([A-Za-z0-9_][\w.-]{0,99}))\s*:(?:\s+(.*))?$/;

/** Undefined inside comments and where the position is outside of the text. */
export function locateCursor(text: string, position: RecipePosition, kinds: readonly StepKind[]): CursorPlace | undefined {
  const texts = text.split(/\r?\n/, mostLines);
  const current = texts[position.line];
  if (current === undefined) return undefined;
  const before = current.slice(0, position.character);
  if (/(^|\s)#/.test(before)) return undefined;
  const lines = texts.map(readLine).filter((line) => line !== undefined);
  const typed = readLine(before, position.line) ?? {
    index: position.line,
    dashes: dashesOf(before),
    column: before.length,
    key: undefined,
    value: '',
  };
  const isValue = typed.key !== undefined;
  const above = lines.filter(({ index }) => index < position.line);
  const ancestors = ancestorsOf(typed, above);
  const path = ancestors.map(({ key }) => key as string);
  const own = lines.filter(({ index }) => index !== position.line);
  const siblings = siblingsOf(typed, isValue ? lines : own);
  const stepStart = path[0] === 'steps' ? outermostItem(typed, above) : undefined;
  const step = stepStart ? siblingsOf(stepStart, lines) : new Map<string, string>();
  return {
    path,
    key: typed.key,
    siblings,
    step,
    column: typed.column,
    startsItem: !isValue && typed.dashes.length === 0 && needsDash(ancestors.at(-1), typed, above),
    inputs: entriesUnder('inputs', lines),
    ...earlierSteps(above, lines, stepStart, kinds),
  };
}

function dashesOf(text: string): readonly number[] {
  const dashes: number[] = [];
  for (let column = 0; column < text.length; column += 1) {
    if (text[column] === '-' && (column + 1 === text.length || text[column + 1] === ' ')) dashes.push(column);
    else if (text[column] !== ' ') break;
  }
  return dashes;
}

function readLine(text: string, index: number): Line | undefined {
  if (text.length > 2000 || /^\s*(#|$)/.test(text)) return undefined;
  const dashes = dashesOf(text);
  const from = (dashes.at(-1) ?? -1) + 1;
  const column = from + (/^ */.exec(text.slice(from)) as RegExpExecArray)[0].length;
  const match = keyPattern.exec(text.slice(column).trimEnd());
  const value = (match?.[4] ?? '').replace(/\s+#.*$/, '').replace(/^(["'])(.*)\1$/, '$2');
  return { index, dashes, column, key: match ? (match[1] ?? match[2] ?? match[3]) : undefined, value };
}

/** The keys above that the cursor is nested under, outermost first. */
function ancestorsOf(typed: Line, above: readonly Line[]): readonly Line[] {
  const ancestors: Line[] = [];
  let limit = typed.dashes[0] ?? typed.column;
  // An item may be in the same column as the key of its list.
  let isItem = typed.dashes.length > 0;
  for (let at = above.length - 1; at >= 0; at -= 1) {
    const line = above[at] as Line;
    const isParent =
      line.key !== undefined && line.value === '' && (line.column < limit || (isItem && line.column === limit && line.dashes.length === 0));
    if (isParent) {
      ancestors.unshift(line);
      limit = line.dashes[0] ?? line.column;
      isItem = line.dashes.length > 0;
    } else if (line.dashes.length > 0 && (line.dashes[0] as number) < limit) {
      // The first key of the item at the cursor: its dash is the next limit.
      limit = line.dashes[0] as number;
      isItem = true;
    }
  }
  return ancestors;
}

/** Keys in the same mapping as a line: same column, not separated by a line further left or by a dash of another item. */
function siblingsOf(typed: Line, lines: readonly Line[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const collect = (ordered: readonly Line[], upwards: boolean) => {
    for (const line of ordered) {
      if (line.column < typed.column) return;
      const startsOther = line.dashes.some((dash) => dash < typed.column);
      if (startsOther && !upwards) return;
      if (line.column === typed.column && line.key !== undefined) found.set(line.key, line.value);
      if (startsOther) return;
    }
  };
  const own = lines.find(({ index }) => index === typed.index);
  if (own?.key !== undefined) found.set(own.key, own.value);
  if (typed.dashes.length === 0) collect(lines.filter(({ index }) => index < typed.index).reverse(), true);
  collect(
    lines.filter(({ index }) => index > typed.index),
    false,
  );
  return found;
}

/** The line with the dash that starts the step around the cursor. */
function outermostItem(typed: Line, above: readonly Line[]): Line | undefined {
  const start = above.filter(({ key, column }) => key === 'steps' && column === 0).at(-1);
  const inside = [...above.filter(({ index }) => start === undefined || index > start.index), typed];
  const dash = Math.min(...inside.flatMap(({ dashes }) => dashes));
  return inside.filter(({ dashes }) => dashes[0] === dash).at(-1);
}

/** True if the cursor is under `steps:` or `overrides:`, outside any item. */
function needsDash(parent: Line | undefined, typed: Line, above: readonly Line[]): boolean {
  if (parent?.key !== 'steps' && parent?.key !== 'overrides') return false;
  const items = above.filter(({ index, dashes }) => index > parent.index && dashes.length > 0);
  return !items.some(({ dashes }) => (dashes[0] as number) < typed.column);
}

function entriesUnder(key: string, lines: readonly Line[]): readonly (readonly [string, string])[] {
  const start = lines.findIndex((line) => line.key === key && line.column === 0);
  if (start < 0) return [];
  const entries: (readonly [string, string])[] = [];
  for (const line of lines.slice(start + 1)) {
    if (line.column === 0) break;
    if (line.key !== undefined) entries.push([line.key, line.value]);
  }
  return entries;
}

/** Names of the steps above one that write models, and of those that write a file. */
function earlierSteps(
  above: readonly Line[],
  lines: readonly Line[],
  step: Line | undefined,
  kinds: readonly StepKind[],
): Pick<CursorPlace, 'earlierOutputs' | 'earlierFiles'> {
  if (!step) return { earlierOutputs: [], earlierFiles: [] };
  const steps = above
    .filter(({ index, dashes }) => index < step.index && dashes[0] === step.dashes[0])
    .map((line) => siblingsOf(line, lines))
    .map((keys) => ({ kind: kinds.find(({ id }) => id === keys.get('kind')), name: keys.get('name') }));
  const namesWhere = (wanted: (kind: StepKind) => boolean) =>
    steps.flatMap(({ kind, name }) => (kind && name !== undefined && wanted(kind) ? [name] : []));
  return { earlierOutputs: namesWhere((kind) => kind.writesModel === true), earlierFiles: namesWhere(writesFile) };
}

function writesFile({ fields }: StepKind): boolean {
  return fields.some(({ type }) => type.kind === 'output' && type.file !== undefined);
}
