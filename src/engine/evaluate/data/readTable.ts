import { readFile, stat } from 'node:fs/promises';
import { parse } from 'csv-parse/sync';
import { LoomweightError } from '../../../protocol/errors';
import { namingForeignFiles, refusePointerFile } from '../../formats/files/foreignFile';
import { isParquet, unreadable } from './parquetRows';
import { parquetInOwnProcess } from './tableProcess';

/** A table of samples: one entry per row, cells as in the file. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

/** A table is read whole; a larger file is refused before it is read. */
const largestTableBytes = 1 << 30;

/**
 * Reads a CSV file (comma, UTF-8, header in the first line, RFC 4180 quoting) or a Parquet file.
 * `memoryLimit`: bytes that the job may use, for a Parquet table with the process that decodes it.
 * Errors: `malformed-file` with the line where known, `unsupported` for files over 1 GiB and for what is no table, `not-found`, `insufficient-memory`.
 */
export async function readTable(file: string, memoryLimit?: number): Promise<Table> {
  const { size } = await stat(file);
  if (size > largestTableBytes)
    throw new LoomweightError(
      'unsupported',
      `Tables can have at most 1 GiB, but ${file} has ${size} bytes. Convert it to .npy files, which are read in parts.`,
      { file, size },
    );
  await refusePointerFile(file);
  return (await isParquet(file)) ? readParquet(file, memoryLimit) : namingForeignFiles(file, () => readCsv(file));
}

async function readCsv(file: string): Promise<Table> {
  let lines: string[][];
  try {
    lines = parse(new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file)), {
      bom: true,
      skipEmptyLines: true,
      relaxColumnCount: false,
    });
  } catch (error) {
    throw new LoomweightError(
      'malformed-file',
      `${file} is not a CSV table: ${error instanceof Error ? error.message : String(error)}.`,
      { file },
      { cause: error },
    );
  }
  const [columns, ...cells] = lines;
  if (!columns) throw new LoomweightError('malformed-file', `${file} is empty; a CSV table needs a header line.`, { file });
  const seen = new Set<string>();
  const repeated = columns.find((name) => seen.size === seen.add(name).size);
  if (repeated !== undefined)
    throw new LoomweightError('malformed-file', `${file} has two columns named '${repeated}' in its header.`, { file });
  return { columns, rows: cells.map((line) => Object.fromEntries(columns.map((name, i) => [name, line[i]]))) };
}

async function readParquet(file: string, memoryLimit: number | undefined): Promise<Table> {
  try {
    const rows = await parquetInOwnProcess(file, { memoryLimit });
    return { columns: Object.keys(rows[0] ?? {}), rows };
  } catch (error) {
    throw unreadable(file, error);
  }
}
