interface Link<T> {
  readonly item: T;
  before: Link<T> | undefined;
  after: Link<T> | undefined;
}

/** Different objects in an order that changes often: every edit takes the same time, however many there are. */
export class LinkedItems<T extends object> implements Iterable<T> {
  private readonly links = new Map<T, Link<T>>();
  private head: Link<T> | undefined;
  private tail: Link<T> | undefined;

  get size(): number {
    return this.links.size;
  }

  has(item: T): boolean {
    return this.links.has(item);
  }

  /** Puts items at the end. */
  append(items: Iterable<T>): void {
    for (const item of items) this.insert(item, undefined);
  }

  /** Puts items, in their order, in front of another; in front of all where none is given. The other must be here. */
  insertBefore(other: T | undefined, items: readonly T[]): void {
    const place = other === undefined ? this.head : this.links.get(other);
    for (const item of items) this.insert(item, place);
  }

  /** Takes an item out; false if it was not here. */
  remove(item: T): boolean {
    const link = this.links.get(item);
    if (link === undefined) return false;
    this.links.delete(item);
    if (link.before) link.before.after = link.after;
    else this.head = link.after;
    if (link.after) link.after.before = link.before;
    else this.tail = link.before;
    return true;
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let link = this.head; link !== undefined; link = link.after) yield link.item;
  }

  protected insert(item: T, place: Link<T> | undefined): void {
    const link: Link<T> = { item, before: place ? place.before : this.tail, after: place };
    this.links.set(item, link);
    if (link.before) link.before.after = link;
    else this.head = link;
    if (link.after) link.after.before = link;
    else this.tail = link;
  }
}

/** The same for items with names, which may occur twice. */
export class NamedItems<T extends { readonly name: string }> extends LinkedItems<T> {
  private readonly byName = new Map<string, Set<T>>();

  /** An item of a name: the one put in first. */
  named(name: string): T | undefined {
    return this.byName.get(name)?.values().next().value;
  }

  override remove(item: T): boolean {
    const same = this.byName.get(item.name);
    if (same?.delete(item) && same.size === 0) this.byName.delete(item.name);
    return super.remove(item);
  }

  /** Takes out all items of a name. */
  removeNamed(name: string): void {
    for (const item of [...(this.byName.get(name) ?? [])]) this.remove(item);
  }

  protected override insert(item: T, place: Link<T> | undefined): void {
    super.insert(item, place);
    const same = this.byName.get(item.name);
    if (same) same.add(item);
    else this.byName.set(item.name, new Set([item]));
  }
}
