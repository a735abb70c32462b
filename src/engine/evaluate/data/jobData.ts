import { readdir, stat } from 'node:fs/promises';
import { elementCount } from '../../../protocol/dtypes';
import type { DataSplit, InputSignature } from './dataSplit';
import { readDataSplit } from './readDataSplit';
import { readTable, type Table } from './readTable';
import { innerShape, tableSplit, type ColumnMap } from './tableSplit';

/** The data that a job names. */
export interface DataSource {
  readonly data: string;
  readonly columns?: ColumnMap | undefined;
  /** Bytes that the job may use. */
  readonly memoryLimit?: number | undefined;
}

/** The splits of one job's data. It belongs to the job: what it holds is gone with it. */
export interface JobData {
  /** One split for a graph's inputs. Errors: those of `readDataSplit`. */
  read(split: string, inputs: readonly InputSignature[]): Promise<DataSplit>;
  /** True if a folder has labels of a split, or a row of a table names it. False for a table without a column that names splits. */
  has(split: string): Promise<boolean>;
  /** Frees every other split: one that is read again is decoded again. */
  keepOnly(splits: readonly string[]): void;
}

/** What jobs call their splits. */
const usualSplits = ['train', 'val', 'test'];

/** A split as arrays, or why it cannot be one. */
type DecodedSplit = { readonly split: DataSplit; readonly error?: undefined } | { readonly error: Error };

interface DecodedTable {
  /** Names and kinds of the inputs that were decoded. */
  readonly inputs: string;
  readonly names: ReadonlySet<string>;
  readonly splits: Map<string, DecodedSplit>;
}

/**
 * Opens data that is read several times. A table is decoded once, at the first need: decoding takes a process and some twenty times the bytes of the arrays (`tableMemory`), and what it leaves is
 * collected late, so that a second time would not fit where the first did. The usual splits stay as arrays; an error in one of them is thrown when that one is read. Folders are read at each call.
 */
export function openJobData({ data, columns = {}, memoryLimit }: DataSource): JobData {
  let decoded: DecodedTable | undefined;
  const splitColumn = columns['split'];
  const decode = async (inputs: readonly InputSignature[], names: readonly string[]): Promise<DecodedTable> => {
    decoded = undefined;
    decoded = decodeTable(await readTable(data, memoryLimit), { data, columns, inputs, names });
    return decoded;
  };
  return {
    async read(split, inputs) {
      if (!(await isTable(data))) return readDataSplit({ data, split, inputs, columns, memoryLimit });
      const key = splitColumn === undefined ? '' : split;
      const kept = decoded?.inputs === kindsOf(inputs) ? decoded : undefined;
      const names = splitColumn === undefined ? [''] : [...new Set([...usualSplits, split])];
      const result = kept?.splits.get(key) ?? ((await decode(inputs, names)).splits.get(key) as DecodedSplit);
      if (result.error !== undefined) throw result.error;
      return shapedFor(result.split, inputs);
    },
    async has(split) {
      const status = await stat(data).catch(() => undefined);
      if (status?.isDirectory()) return (await readdir(data)).includes(`${split}-label.npy`);
      if (status === undefined || splitColumn === undefined) return false;
      return (decoded ?? (await decode([], usualSplits))).names.has(split);
    },
    keepOnly(splits) {
      for (const name of decoded?.splits.keys() ?? []) if (name !== '' && !splits.includes(name)) decoded?.splits.delete(name);
    },
  };
}

/** True for a file. Missing data is no table: `readDataSplit` gives the error. */
async function isTable(data: string): Promise<boolean> {
  const status = await stat(data).catch(() => undefined);
  return status !== undefined && !status.isDirectory();
}

interface Decoding {
  readonly data: string;
  readonly columns: ColumnMap;
  readonly inputs: readonly InputSignature[];
  readonly names: readonly string[];
}

function decodeTable(table: Table, { data, columns, inputs, names }: Decoding): DecodedTable {
  const column = columns['split'];
  const splits = new Map<string, DecodedSplit>();
  for (const name of names) {
    try {
      splits.set(name, { split: tableSplit(table, data, name, inputs, columns) });
    } catch (error) {
      splits.set(name, { error: error as Error });
    }
  }
  const present = column === undefined ? [] : table.rows.map((row) => String(row[column]));
  return { inputs: kindsOf(inputs), names: new Set(present), splits };
}

/** What decoding depends on: whether each input is whole numbers. Its shape is given at each reading. */
function kindsOf(inputs: readonly InputSignature[]): string {
  return JSON.stringify(inputs.map(({ name, dtype }) => [name, /int|bool/.test(dtype)]));
}

/** The same values with the axes that these inputs have. */
function shapedFor(split: DataSplit, inputs: readonly InputSignature[]): DataSplit {
  const arrays = inputs.map(({ name, shape }) => {
    const array = split.inputs.get(name) as DataSplit['labels'];
    return [name, { ...array, shape: [split.samples, ...innerShape(elementCount(array.shape.slice(1)), shape)] }] as const;
  });
  return { ...split, inputs: new Map(arrays) };
}
