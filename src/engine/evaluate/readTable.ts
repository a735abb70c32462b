import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { globMatcher } from '../../common/glob';
import { LoomweightError } from '../../protocol/errors';
import { parseCsv } from './csv';
import type { DataColumn, DataSet } from './dataSet';
import type { DataRequest } from './readDataSet';

type Row = Readonly<Record<string, unknown>>;

/**
 * Reads a Parquet or CSV file as samples: for each graph input the columns that the map names (one name or a glob, columns in the
 * order of the file), by default one named like the input
 * (whose cells may be lists of numbers); the label from the column `label` unless mapped. Where there is a column `split` only
 * its rows of the asked split count.
 */
export async function readTable({ data, split, splitGiven, inputs, columns }: DataRequest): Promise<DataSet> {
  const all = await readRows(data);
  const present = Object.keys(all[0] ?? {});
  const sourcesOf = (name: string): readonly string[] => {
    const wanted = columns[name] ?? name;
    return present.includes(wanted) ? [wanted] : present.filter(globMatcher(wanted));
  };
  const [splitColumn] = sourcesOf('split');
  if (splitGiven && splitColumn === undefined)
    throw new LoomweightError('invalid-argument', `${data} has no column 'split', so --split ${split} cannot be chosen. Leave it out.`, {
      present,
    });
  const rows = splitColumn === undefined ? all : all.filter((row) => String(row[splitColumn]) === split);
  const column = (name: string): DataColumn => {
    const sources = sourcesOf(name);
    if (sources.length === 0)
      throw new LoomweightError(
        'invalid-argument',
        `'${name}' needs the column '${columns[name] ?? name}'; ${path.basename(data)} has ${present.join(', ') || 'none'}. Map it to a column.`,
        { name, present },
      );
    return numericColumn(name, rows, sources);
  };
  const choices = [
    splitColumn === undefined
      ? `all rows of ${path.basename(data)} (it has no column 'split')`
      : `rows with ${splitColumn} '${split}' of ${path.basename(data)}`,
  ];
  return { samples: rows.length, inputs: new Map(inputs.map((name) => [name, column(name)])), label: column('label'), choices };
}

async function readRows(file: string): Promise<readonly Row[]> {
  const extension = path.extname(file).toLowerCase();
  if (extension === '.csv') return parseCsv(await readFile(file, 'utf8'), file);
  if (extension === '.parquet') {
    try {
      return await parquetReadObjects({ file: await asyncBufferFromFile(file) });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new LoomweightError('malformed-file', `${file} cannot be read as Parquet: ${reason}.`, { file }, { cause: error });
    }
  }
  throw new LoomweightError('unsupported', `Data is a directory of .npy files, a .parquet or a .csv file; got ${file}.`, { file });
}

/** Numbers of one input: one column of numbers or lists, or several columns of numbers side by side. */
function numericColumn(name: string, rows: readonly Row[], sources: readonly string[]): DataColumn {
  const lists = rows.map((row, index) => sources.flatMap((source) => numbersOf(row[source], `row ${index + 1} of column '${source}'`)));
  const width = lists[0]?.length ?? 0;
  const uneven = lists.findIndex((list) => list.length !== width);
  if (uneven >= 0)
    throw new LoomweightError(
      'malformed-file',
      `'${name}' needs the same number of values in every row: row 1 has ${width}, row ${uneven + 1} has ${lists[uneven]?.length}.`,
      { name },
    );
  const scalar = sources.length === 1 && !isList(rows[0]?.[sources[0] as string]);
  const shape = scalar ? [rows.length] : [rows.length, width];
  const values = lists.flat();
  const whole = values.every(Number.isSafeInteger);
  const array = whole ? BigInt64Array.from(values.map(BigInt)) : Float64Array.from(values);
  return { source: `column ${sources.join(', ')}`, dtype: whole ? 'int64' : 'float64', shape, bytes: new Uint8Array(array.buffer) };
}

function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || ArrayBuffer.isView(value);
}

function numbersOf(value: unknown, where: string): number[] {
  if (isList(value)) return Array.from(value).flatMap((item) => numbersOf(item, where));
  if (typeof value === 'boolean') return [Number(value)];
  if (typeof value === 'bigint' || typeof value === 'number') return [Number(value)];
  if (typeof value === 'string' && value.trim() !== '' && !Number.isNaN(Number(value))) return [Number(value)];
  throw new LoomweightError('malformed-file', `The ${where} needs a number, got ${JSON.stringify(value) ?? 'nothing'}.`, { where });
}
