import path from 'node:path';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, snappyUncompress } from 'hyparquet';
import { LoomweightError } from '../../../protocol/errors';
import { openRegularFile } from '../../formats/files/randomAccessFile';

/** Values of a table that are read: cells, and entries of lists in cells. More belong into .npy files, which are read in parts. */
const mostValues = 200e6;
/** Bytes of one decompressed page. Writers make pages of about 1 MiB. */
const largestPage = 256 * 2 ** 20;
/** What Snappy can gain at most: a copy of 64 bytes takes 3. */
const largestSnappyGain = 22;

/** What is known of a Parquet file before its values are decoded. */
export interface ParquetFacts {
  readonly rows: number;
  readonly columns: number;
  /** Values in all cells: a cell that is a list counts with every entry. */
  readonly values: number;
  /** Bytes of the values before compression, as encoded; and those of them that are texts or bytes. */
  readonly plainBytes: number;
  readonly textBytes: number;
}

/** True for a Parquet table, by its first bytes or its name. */
export async function isParquet(file: string): Promise<boolean> {
  const handle = await openRegularFile(file);
  try {
    const head = Buffer.alloc(4);
    await handle.read(head, 0, 4, 0);
    return head.toString('latin1') === 'PAR1' || path.extname(file).toLowerCase() === '.parquet';
  } finally {
    await handle.close();
  }
}

/**
 * Reads the footer of a Parquet file and checks it against the file: counts add up, every column's bytes are within the file, and no size is larger than the
 * bytes could hold. Errors: `malformed-file`, `unsupported`.
 */
export async function parquetFacts(file: string): Promise<ParquetFacts> {
  const buffer = await asyncBufferFromFile(file);
  const metadata = await parquetMetadataAsync(buffer).catch((error: unknown) => {
    throw unreadable(file, error);
  });
  const fail = (text: string) => new LoomweightError('malformed-file', `${file} is a damaged Parquet file: ${text}.`, { file });
  const rows = Number(metadata.num_rows);
  const inGroups = metadata.row_groups.reduce((sum, group) => sum + Number(group.num_rows), 0);
  if (!(rows >= 0) || rows !== inGroups) throw fail(`its footer gives ${rows} rows, but its row groups have ${inGroups}`);
  const repeated = new Set(metadata.schema.filter((element) => element.repetition_type === 'REPEATED').map(({ name }) => name));
  let columns = 0;
  let allValues = 0;
  let plainBytes = 0;
  let textBytes = 0;
  for (const group of metadata.row_groups) {
    if (!(Number(group.num_rows) >= 0)) throw fail('a row group has a negative number of rows');
    columns = Math.max(columns, group.columns.length);
    for (const { meta_data: column } of group.columns) {
      if (column === undefined) throw fail('a column has no description');
      const start = Number(column.dictionary_page_offset ?? column.data_page_offset);
      const [compressed, plain] = [Number(column.total_compressed_size), Number(column.total_uncompressed_size)];
      if (!(start >= 0 && compressed >= 0 && start + compressed <= buffer.byteLength))
        throw fail(`a column takes ${compressed} bytes from byte ${start}, which are not all in the file of ${buffer.byteLength} bytes`);
      // The strongest codec packs 1,100 bytes into one.
      if (!(plain >= 0 && plain <= Math.max(2 ** 20, 1100 * compressed)))
        throw fail(`a column claims ${plain} bytes of values in ${compressed} bytes`);
      const values = Number(column.num_values);
      if (!(values >= 0 && values <= mostValues)) throw fail(`a column claims ${values} values`);
      if (column.codec === 'UNCOMPRESSED' && values > 0 && plain === 0) throw fail('a column has values without bytes');
      // A flat column has a value for each row, whatever it claims.
      const hasLists = column.path_in_schema.some((name) => repeated.has(name));
      allValues += hasLists ? Math.max(values, Number(group.num_rows)) : Number(group.num_rows);
      plainBytes += plain;
      if (column.type === 'BYTE_ARRAY' || column.type === 'FIXED_LEN_BYTE_ARRAY') textBytes += plain;
    }
  }
  // A column that a row group leaves out has a cell in each row too.
  allValues = Math.max(allValues, rows * Math.max(1, columns));
  if (allValues > mostValues)
    throw new LoomweightError(
      'unsupported',
      `${file} has ${rows} rows of ${columns} columns with ${allValues} values; at most ${mostValues} values are read from a table. Convert it to .npy files, which are read in parts.`,
      { file, rows, columns, values: allValues },
    );
  return { rows, columns, values: allValues, plainBytes, textBytes };
}

/** What the library threw on a file, as an error about the file. */
export function unreadable(file: string, error: unknown): LoomweightError {
  if (LoomweightError.is(error)) return error;
  return new LoomweightError(
    'malformed-file',
    `${file} cannot be read as a Parquet table: ${error instanceof Error ? error.message : String(error)}.`,
    { file },
    { cause: error },
  );
}

/** Decodes all rows of a Parquet file whose footer has been checked. */
export async function parquetRows(file: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
  return parquetReadObjects({
    file: await asyncBufferFromFile(file),
    compressors: {
      SNAPPY: (input, length) => {
        if (!(length >= 0 && length <= Math.min(largestPage, 64 + largestSnappyGain * input.length)))
          throw new LoomweightError('malformed-file', `a page claims ${length} bytes from ${input.length} compressed ones`, { file });
        const output = new Uint8Array(length);
        snappyUncompress(input, output);
        return output;
      },
    },
  });
}
