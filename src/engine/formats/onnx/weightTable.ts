/** What a `WeightTable` looks things up in. */
export interface NamedLookUp<T> {
  names(): Iterable<string>;
  has(name: string): boolean;
  get(name: string): T | undefined;
}

/** A map without entries of its own: every call goes to the current table. */
export class WeightTable<T> implements ReadonlyMap<string, T> {
  constructor(private readonly source: NamedLookUp<T>) {}

  get size(): number {
    return [...this.source.names()].length;
  }

  has(name: string): boolean {
    return this.source.has(name);
  }

  get(name: string): T | undefined {
    return this.source.get(name);
  }

  forEach(visit: (value: T, name: string, map: ReadonlyMap<string, T>) => void): void {
    for (const [name, value] of this) visit(value, name, this);
  }

  *keys(): MapIterator<string> {
    yield* this.source.names();
  }

  *values(): MapIterator<T> {
    for (const [, value] of this) yield value;
  }

  *entries(): MapIterator<[string, T]> {
    yield* this;
  }

  *[Symbol.iterator](): MapIterator<[string, T]> {
    for (const name of this.source.names()) yield [name, this.source.get(name) as T];
  }
}
