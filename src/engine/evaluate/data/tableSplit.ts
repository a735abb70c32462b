import { ownEntry } from '../../../common/ownEntry';
import { globMatcher } from '../../../common/glob';
import { elementCount } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import type { DataSplit, InputSignature, SampleArray } from './dataSplit';
import type { Table } from './readTable';

/** Which columns make which input: input name, `label` or `split` to a column name, or a glob over several columns. */
export type ColumnMap = Readonly<Record<string, string>>;

/**
 * Turns a table into arrays for a graph's inputs. Several columns that one glob matches, or a list in one cell, fill the axes after
 * the first, in the table's order. An input without an entry in the map takes the column of the same name; `label` likewise.
 * With `split` in the map only rows are taken whose cell there equals the split's name.
 */
export function tableSplit(table: Table, file: string, split: string, inputs: readonly InputSignature[], columns: ColumnMap): DataSplit {
  const unknown = Object.keys(columns).find((key) => key !== 'label' && key !== 'split' && !inputs.some(({ name }) => name === key));
  if (unknown !== undefined)
    throw new LoomweightError(
      'invalid-argument',
      `The column map names '${unknown}', but the graph's inputs are ${inputs.map(({ name }) => name).join(', ')}; label and split are also allowed.`,
      { key: unknown },
    );
  const splitColumn = columns['split'];
  if (splitColumn !== undefined) columnsOf(table, file, splitColumn);
  const rows = splitColumn === undefined ? table.rows : table.rows.filter((row) => String(row[splitColumn]) === split);
  const read = (key: string, integer: boolean, shape: readonly (number | string)[]): SampleArray => {
    const chosen = columnsOf(table, file, ownEntry(columns, key) ?? key);
    // Straight into an array: values of JavaScript take several times its bytes.
    let values = new Float64Array(16);
    let count = 0;
    const reserve = (length: number): void => {
      const larger = new Float64Array(length);
      larger.set(values.subarray(0, count));
      values = larger;
    };
    for (const [index, row] of rows.entries()) {
      // Rows have one width, as a rule.
      if (index === 1) reserve(count * rows.length);
      for (const column of chosen)
        forEachNumber(row[column], { file, column, row: index }, (value) => {
          if (count === values.length) reserve(2 * count + 16);
          values[count] = value;
          count += 1;
        });
    }
    const width = rows.length === 0 ? chosen.length : count / rows.length;
    return {
      dtype: integer ? 'int64' : 'float64',
      shape: [rows.length, ...innerShape(width, shape)],
      data: integer ? wholeNumbers(values.subarray(0, count), key) : count === values.length ? values : values.slice(0, count),
    };
  };
  return {
    description: `${file}${splitColumn === undefined ? '' : `, split '${split}'`}`,
    samples: rows.length,
    inputs: new Map(inputs.map(({ name, dtype, shape }) => [name, read(name, /int|bool/.test(dtype), shape)])),
    labels: read('label', false, ['batch']),
  };
}

/** Axes after the first: as the graph has them where the number of values agrees, else one flat axis (none for a single value). */
export function innerShape(width: number, shape: readonly (number | string)[]): readonly number[] {
  const inner = shape.slice(1);
  if (inner.every((axis): axis is number => typeof axis === 'number') && elementCount(inner) === width) return inner;
  return inner.length === 0 && width === 1 ? [] : [width];
}

function columnsOf(table: Table, file: string, pattern: string): readonly string[] {
  const chosen = table.columns.includes(pattern) ? [pattern] : table.columns.filter(globMatcher(pattern));
  if (chosen.length === 0)
    throw new LoomweightError(
      'invalid-argument',
      `${file} has no column '${pattern}'; it has: ${table.columns.slice(0, 20).join(', ')}. Name columns with --columns input=column.`,
      { file, column: pattern },
    );
  return chosen;
}

/** The numbers of a cell, which may be a list or a list of lists. */
function forEachNumber(
  cell: unknown,
  place: { readonly file: string; readonly column: string; readonly row: number },
  take: (value: number) => void,
): void {
  if (Array.isArray(cell) || (ArrayBuffer.isView(cell) && !(cell instanceof DataView))) {
    for (const part of cell as Iterable<unknown>) forEachNumber(part, place, take);
    return;
  }
  const value =
    typeof cell === 'string'
      ? cell.trim() === ''
        ? NaN
        : Number(cell)
      : typeof cell === 'number' || typeof cell === 'bigint' || typeof cell === 'boolean'
        ? Number(cell)
        : NaN;
  if (!Number.isNaN(value)) return take(value);
  const { file, column, row } = place;
  throw new LoomweightError(
    'malformed-file',
    `Row ${row + 1} of column '${column}' in ${file} must contain a number, got ${JSON.stringify(cell) ?? 'nothing'}.`,
    { file, column, row: row + 1 },
  );
}

function wholeNumbers(values: Float64Array, key: string): BigInt64Array {
  const whole = new BigInt64Array(values.length);
  values.forEach((value, index) => {
    if (!Number.isSafeInteger(value))
      throw new LoomweightError('invalid-argument', `Input '${key}' takes integers, but the table has ${value}.`, { input: key });
    whole[index] = BigInt(value);
  });
  return whole;
}
