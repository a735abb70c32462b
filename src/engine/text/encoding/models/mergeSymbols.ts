/** What pairs of ids become. */
export interface MergeTable {
  /** By `left * size + right`: the rank of the merge, lowest first, and the id of what it makes. */
  readonly merges: ReadonlyMap<number, { readonly rank: number; readonly id: number }>;
  readonly size: number;
}

/** Places of a queue entry's number: `rank * places + position`. */
const places = 2 ** 31;

/** Applies merges, the lowest rank first and of equal ranks the leftmost, until none is left. Time n log n in the number of symbols. */
export function mergeSymbols(symbols: readonly number[], { merges, size }: MergeTable): readonly number[] {
  const count = symbols.length;
  if (count < 2) return symbols;
  const ids = Float64Array.from(symbols);
  const next = Int32Array.from({ length: count }, (_, index) => (index + 1 < count ? index + 1 : -1));
  const previous = Int32Array.from({ length: count }, (_, index) => index - 1);
  const gone = new Uint8Array(count);
  const queue = new NumberQueue();
  const mergeAt = (left: number, right: number) => merges.get((ids[left] as number) * size + (ids[right] as number));
  const offer = (left: number, right: number): void => {
    const merge = mergeAt(left, right);
    if (merge) queue.push(merge.rank * places + left);
  };
  for (let index = 0; index + 1 < count; index += 1) offer(index, index + 1);
  for (let entry = queue.pop(); entry !== undefined; entry = queue.pop()) {
    const left = entry % places;
    const right = next[left] as number;
    if (gone[left] === 1 || right === -1) continue;
    const merge = mergeAt(left, right);
    // One of the two has been merged since.
    if (!merge || merge.rank !== (entry - left) / places) continue;
    ids[left] = merge.id;
    gone[right] = 1;
    const after = next[right] as number;
    next[left] = after;
    if (after !== -1) previous[after] = left;
    const before = previous[left] as number;
    if (before !== -1) offer(before, left);
    if (after !== -1) offer(left, after);
  }
  const result: number[] = [];
  for (let index = 0; index !== -1; index = next[index] as number) result.push(ids[index] as number);
  return result;
}

/** The smallest number first. */
class NumberQueue {
  private readonly heap: number[] = [];

  push(value: number): void {
    const { heap } = this;
    let index = heap.length;
    heap.push(value);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if ((heap[parent] as number) <= value) break;
      heap[index] = heap[parent] as number;
      index = parent;
    }
    heap[index] = value;
  }

  pop(): number | undefined {
    const { heap } = this;
    const top = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return top;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as number) < (heap[child] as number)) child += 1;
      if ((heap[child] as number) >= last) break;
      heap[index] = heap[child] as number;
      index = child;
    }
    heap[index] = last;
    return top;
  }
}
