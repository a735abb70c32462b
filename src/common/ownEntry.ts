/**
 * The entry of a table under a name that comes from a file: only an entry of its own, since every object also answers to `constructor`, `toString` and the
 * other names of its prototype.
 */
export function ownEntry<T>(table: Readonly<Partial<Record<string, T>>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
