import { ownEntry } from '../../../common/ownEntry';
import { LoomweightError } from '../../../protocol/errors';

/** A JSON object of tokenizer.json. */
export type Entries = Readonly<Record<string, unknown>>;

/** The error for a part of tokenizer.json that is not applied exactly, and therefore not at all. `feature` names the part and its setting. */
export function unsupportedFeature(feature: string): LoomweightError {
  return new LoomweightError(
    'unsupported',
    `tokenizer.json uses ${feature}, which Loomweight does not apply. Tokens would differ from those that the model was trained with. ` +
      `Use a model with another tokenizer, or work with its weights alone.`,
    { feature, diagnostic: 'unsupported-tokenizer' },
  );
}

/** The error for an entry that tokenizer.json must have otherwise. */
export function malformedEntry(where: string, wanted: string, got: unknown): LoomweightError {
  const text = got === undefined ? 'nothing' : (JSON.stringify(got) ?? typeof got);
  return new LoomweightError(
    'malformed-file',
    `tokenizer.json needs ${wanted} for ${where}, got ${text.slice(0, 80)}. Download it again.`,
    {
      where,
    },
  );
}

/** True for an object that is no list. */
export function isEntries(value: unknown): value is Entries {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An object, or undefined where it is missing or null. */
export function objectOf(entries: Entries, key: string, where: string): Entries | undefined {
  const value = entries[key];
  if (value === undefined || value === null) return undefined;
  if (isEntries(value)) return value;
  throw malformedEntry(`${where}.${key}`, 'an object', value);
}

/** A list; missing or null is an error. */
export function listOf(entries: Entries, key: string, where: string): readonly unknown[] {
  const value = entries[key];
  if (Array.isArray(value)) return value;
  throw malformedEntry(`${where}.${key}`, 'a list', value);
}

/** A truth value; missing or null gives the fallback. */
export function flagOf(entries: Entries, key: string, where: string, fallback: boolean): boolean {
  const value = entries[key] ?? fallback;
  if (typeof value === 'boolean') return value;
  throw malformedEntry(`${where}.${key}`, 'true or false', value);
}

/** A text; missing or null gives the fallback. */
export function textOf<T extends string | undefined>(entries: Entries, key: string, where: string, fallback: T): string | T {
  const value = entries[key] ?? fallback;
  if (value === undefined || typeof value === 'string') return value as string | T;
  throw malformedEntry(`${where}.${key}`, 'a text', value);
}

/** A whole number from 0 on; missing or null gives the fallback. */
export function countOf<T extends number | undefined>(entries: Entries, key: string, where: string, fallback: T): number | T {
  const value = entries[key] ?? fallback;
  if (value === undefined || (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0)) return value as number | T;
  throw malformedEntry(`${where}.${key}`, 'a whole number', value);
}

/** The type of a component. */
export function typeOf(entries: Entries, where: string): string {
  const type = entries['type'];
  if (typeof type === 'string') return type;
  throw malformedEntry(`${where}.type`, 'a text', type);
}

/** Reads a component by its type with the function of a table. `what`: its kind, in words. Errors: `unsupported` for a type that is not applied. */
export function readComponent<T>(
  table: Readonly<Record<string, (entries: Entries, where: string) => T>>,
  value: unknown,
  where: string,
  what: string,
): T {
  if (!isEntries(value)) throw malformedEntry(where, 'an object', value);
  const type = typeOf(value, where);
  const read = ownEntry(table, type);
  if (!read) throw unsupportedFeature(`the ${what} ${type}`);
  return read(value, where);
}

/** Ids by token, from a vocabulary object. */
export function vocabularyOf(entries: Entries, where: string): ReadonlyMap<string, number> {
  const vocabulary = objectOf(entries, 'vocab', where);
  if (!vocabulary) throw malformedEntry(`${where}.vocab`, 'an object', entries['vocab']);
  const ids = new Map<string, number>();
  for (const [token, id] of Object.entries(vocabulary)) {
    if (typeof id !== 'number' || !Number.isSafeInteger(id) || id < 0) throw malformedEntry(`${where}.vocab`, 'whole numbers', id);
    ids.set(token, id);
  }
  return ids;
}
