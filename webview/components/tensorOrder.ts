import { partsFinder } from '../../src/common/wildcard';
import { elementCount } from '../../src/protocol/dtypes';
import type { TensorSummary } from '../../src/protocol/model';

/** Sort order of the tensor table; `file` is the order in the file. */
export interface TensorOrder {
  readonly column: 'file' | 'name' | 'shape' | 'dtype' | 'bytes';
  readonly descending: boolean;
}

/** A shape as displayed: `256 × 688`, `scalar`. */
export function shapeText(shape: readonly number[]): string {
  return shape.length === 0 ? 'scalar' : shape.join(' × ');
}

const collator = new Intl.Collator('en', { numeric: true });

/**
 * Tensors whose name, type or shape contains every word of the filter (case-insensitive; `*` matches anything within a
 * word), in the chosen order. Ties keep the order of the file.
 */
export function filterAndSort(tensors: readonly TensorSummary[], filter: string, order: TensorOrder): readonly TensorSummary[] {
  const words = filter
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '')
    .map(wordTest);
  const kept =
    words.length === 0
      ? [...tensors]
      : tensors.filter((tensor) => {
          const text = `${tensor.name} ${tensor.dtype} ${shapeText(tensor.shape)} ${tensor.role}`.toLowerCase();
          return words.every((test) => test(text));
        });
  const compare = comparison(order);
  if (compare) kept.sort(order.descending ? (a, b) => compare(b, a) : compare);
  else if (order.descending) kept.reverse();
  return kept;
}

function wordTest(word: string): (text: string) => boolean {
  if (!word.includes('*')) return (text) => text.includes(word);
  const finds = partsFinder(word.split('*'));
  // A word of the filter stays within a word of the text.
  return (text) => text.split(/\s+/).some(finds);
}

function comparison({ column }: TensorOrder): ((a: TensorSummary, b: TensorSummary) => number) | undefined {
  switch (column) {
    case 'file':
      return undefined;
    case 'name':
      return (a, b) => collator.compare(a.name, b.name);
    case 'dtype':
      return (a, b) => collator.compare(a.dtype, b.dtype);
    case 'shape':
      return (a, b) => elementCount(a.shape) - elementCount(b.shape);
    case 'bytes':
      return (a, b) => a.bytes - b.bytes;
  }
}

/** The order after a click on a column header: ascending, descending, then back to the order of the file. */
export function nextOrder(order: TensorOrder, column: TensorOrder['column']): TensorOrder {
  if (order.column !== column) return { column, descending: false };
  return order.descending ? { column: 'file', descending: false } : { column, descending: true };
}
