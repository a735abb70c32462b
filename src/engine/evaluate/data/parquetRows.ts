import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, snappyUncompress } from 'hyparquet';
import { LoomweightError } from '../../../protocol/errors';

/** Values of a table that are read: rows times columns. More belong into .npy files, which are read in parts. */
const mostValues = 200e6;
/** Bytes of one decompressed page. Writers make pages of about 1 MiB. */
const largestPage = 256 * 2 ** 20;
/** What Snappy can gain at most: a copy of 64 bytes takes 3. */
const largestSnappyGain = 22;

/** What is known of a Parquet file before its values are decoded. */
export interface ParquetFacts {
  readonly rows: number;
  readonly columns: number;
}

/**
 * Reads the footer of a Parquet file and checks it against the file: counts add up, every column's bytes are within the file, and no size is larger than the
 * bytes could hold. Errors: `malformed-file`, `unsupported`.
 */
export async function parquetFacts(file: string): Promise<ParquetFacts> {
  const buffer = await asyncBufferFromFile(file);
  const metadata = await parquetMetadataAsync(buffer);
  const fail = (text: string) => new LoomweightError('malformed-file', `${file} is a damaged Parquet file: ${text}.`, { file });
  const rows = Number(metadata.num_rows);
  const inGroups = metadata.row_groups.reduce((sum, group) => sum + Number(group.num_rows), 0);
  if (!(rows >= 0) || rows !== inGroups) throw fail(`its footer gives ${rows} rows, but its row groups have ${inGroups}`);
  let columns = 0;
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
    }
  }
  if (rows * Math.max(1, columns) > mostValues)
    throw new LoomweightError(
      'unsupported',
      `${file} has ${rows} rows of ${columns} columns; at most ${mostValues} values are read from a table. Convert it to .npy files, which are read in parts.`,
      { file, rows, columns },
    );
  return { rows, columns };
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
