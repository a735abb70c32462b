import { stat } from 'node:fs/promises';
import { formatBytes } from '../../../common/units';
import { refusePointerFile } from '../../formats/files/foreignFile';
import { isParquet, parquetFacts } from './parquetRows';
import type { ParquetFacts } from './parquetRows';

/** The process that decodes a table, before it has read anything. */
const decoderBytes = 100e6;
/** Bytes of a decoded cell in that process, and of an entry of a list in a cell; and what the job holds of each once it has come over. */
const [cellBytes, entryBytes, keptBytes] = [120, 50, 50];
/** Bytes of a value in the arrays of a split, and in those that batches are taken from. */
const arrayBytes = 16;
/** Bytes for each byte of text in both processes: characters take up to two, and as much while they are sent. */
const textFactor = 8;

/**
 * Memory that a job takes, beside its own process, while a Parquet table is read: the process that decodes it and the rows that have come over, from the footer alone. 0 for other
 * data, whose bytes the job counts itself. Measured (docs/benchmarks.md). Errors: those of `parquetFacts`; `unsupported` for a Git LFS pointer.
 */
export async function tableMemory(data: string | undefined): Promise<number> {
  return (await tableNeeds(data)).reading;
}

/** As `tableMemory`, and `kept`: what a job holds of the table afterwards, its arrays and the rows that are not collected yet. */
export async function tableNeeds(data: string | undefined): Promise<{ readonly reading: number; readonly kept: number }> {
  const status = data === undefined ? undefined : await stat(data).catch(() => undefined);
  if (data === undefined || !status?.isFile()) return { reading: 0, kept: 0 };
  await refusePointerFile(data);
  if (!(await isParquet(data))) return { reading: 0, kept: 0 };
  const facts = await parquetFacts(data);
  return { reading: decodingBytes(facts), kept: facts.values * (keptBytes + arrayBytes) };
}

/** The allowance of `tableMemory` in words, for a forecast. */
export function tableNotes(bytes: number): readonly string[] {
  return bytes === 0 ? [] : [`Reading the table takes about ${formatBytes(bytes)} with the process that decodes it.`];
}

/** As `tableMemory`, of a table whose footer was read. */
export function decodingBytes({ rows, columns, values, textBytes }: ParquetFacts): number {
  const cells = Math.min(values, rows * columns);
  return decoderBytes + cells * cellBytes + (values - cells) * entryBytes + values * keptBytes + textBytes * textFactor;
}
