import { access, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { LoomweightError } from '../../protocol/errors';
import { readNpy } from '../formats/npy/openNpy';
import type { DataColumn, DataSet } from './dataSet';
import { readTable } from './readTable';

/** What is read: where from, which split, which columns feed which input. */
export interface DataRequest {
  readonly data: string;
  readonly split: string;
  /** True where the user named the split. */
  readonly splitGiven: boolean;
  readonly inputs: readonly string[];
  /** Tables only: graph input, `label` or `split` to a column name, or a glob over several columns. */
  readonly columns: Readonly<Record<string, string>>;
}

/**
 * Reads a directory of NumPy files (`<split>-<input>.npy`, `<split>-label.npy`), a Parquet or a CSV file. All columns have the same
 * number of samples. Errors: `not-found` with the files that are there, `malformed-file`, `unsupported`, `invalid-argument`.
 */
export async function readDataSet(request: DataRequest): Promise<DataSet> {
  const status = await stat(request.data).catch(() => undefined);
  if (!status) throw new LoomweightError('not-found', `There is no data at ${request.data}. Check the path.`, { path: request.data });
  const set = status.isDirectory() ? await readFolder(request) : await readTable(request);
  for (const column of [...set.inputs.values(), set.label])
    if (column.shape[0] !== set.samples)
      throw new LoomweightError(
        'malformed-file',
        `All columns of a data set need the same number of samples: ${column.source} has ${column.shape[0]}, others ${set.samples}.`,
        { source: column.source, samples: set.samples },
      );
  if (set.samples === 0) throw new LoomweightError('invalid-argument', `${request.data} has no samples in split '${request.split}'.`, {});
  return set;
}

async function readFolder({ data, split, inputs }: DataRequest): Promise<DataSet> {
  const read = async (name: string): Promise<DataColumn> => {
    const file = path.join(data, `${split}-${name}.npy`);
    await access(file).catch(async () => {
      const present = (await readdir(data)).filter((entry) => entry.endsWith('.npy'));
      throw new LoomweightError(
        'not-found',
        `Evaluating on '${split}' needs ${path.basename(file)} in ${data}; there is ${present.join(', ') || 'no .npy file'}. ` +
          'Name another --split, or save that file with numpy.save.',
        { file, present },
      );
    });
    const array = await readNpy(file);
    if (array.shape.length === 0)
      throw new LoomweightError('malformed-file', `${file} holds one number; a column needs an axis of samples.`, { file });
    return { source: path.basename(file), ...array };
  };
  const columns = new Map<string, DataColumn>();
  for (const name of inputs) columns.set(name, await read(name));
  const label = await read('label');
  return { samples: label.shape[0] as number, inputs: columns, label, choices: [`split '${split}' of ${path.basename(data)}`] };
}
