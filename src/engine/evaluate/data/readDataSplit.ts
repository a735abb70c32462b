import { access, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { byteLength, type DType } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import { namingForeignFiles } from '../../formats/files/foreignFile';
import { readNpy } from '../../formats/npy/openNpy';
import type { DataSplit, InputSignature, SampleArray } from './dataSplit';
import { readTable } from './readTable';
import { tableSplit, type ColumnMap } from './tableSplit';

/** What is read of a data set. */
export interface DataRequest {
  readonly data: string;
  readonly split: string;
  readonly inputs: readonly InputSignature[];
  readonly columns: ColumnMap;
  /** Bytes that the job may use. */
  readonly memoryLimit?: number | undefined;
}

/**
 * Reads one split of a directory of NumPy files (`<split>-<input>.npy`, `<split>-label.npy`), or a Parquet or CSV file.
 * Errors: `not-found` with the files that are there, `malformed-file`, `unsupported`, `invalid-argument`.
 */
export async function readDataSplit({ data, split, inputs, columns, memoryLimit }: DataRequest): Promise<DataSplit> {
  const status = await stat(data).catch(() => undefined);
  if (!status) throw new LoomweightError('not-found', `No data at ${data}. Check the path.`, { path: data });
  if (!status.isDirectory()) return tableSplit(await readTable(data, memoryLimit), data, split, inputs, columns);
  const arrays = new Map<string, SampleArray>();
  for (const { name } of inputs) arrays.set(name, await readArray(data, split, name));
  const labels = await readArray(data, split, 'label');
  const samples = labels.shape[0] ?? 0;
  if (labels.shape.length > 2 || (labels.shape[1] ?? 1) !== 1)
    throw new LoomweightError(
      'invalid-argument',
      `${split}-label.npy needs one label per sample, but has shape [${labels.shape.join(', ')}].`,
      {
        shape: labels.shape,
      },
    );
  return { description: `${data}, split '${split}'`, samples, inputs: arrays, labels };
}

/** The file of an array of a split. Errors: `not-found` with the files that are there. */
export async function findArray(folder: string, split: string, name: string): Promise<string> {
  const file = path.join(folder, `${split}-${name}.npy`);
  await access(file).catch(async () => {
    const present = (await readdir(folder)).filter((entry) => entry.endsWith('.npy'));
    throw new LoomweightError(
      'not-found',
      `The split '${split}' requires ${path.basename(file)} in ${folder}, which contains ${present.join(', ') || 'no .npy files'}. ` +
        'Name another split, or save that file with numpy.save.',
      { file, present },
    );
  });
  return file;
}

async function readArray(folder: string, split: string, name: string): Promise<SampleArray> {
  const file = await findArray(folder, split, name);
  const { dtype, shape, bytes } = await namingForeignFiles(file, () => readNpy(file));
  const make = arrayTypes[dtype];
  if (!make || shape.length === 0)
    throw new LoomweightError('unsupported', `${file} cannot be fed to a graph: it contains ${dtype}[${shape.join(', ')}].`, {
      dtype,
      shape,
    });
  // A copy, so that the typed array starts at a multiple of its element size.
  const own = bytes.slice(0, byteLength(dtype, shape)).buffer;
  return { dtype, shape, data: new make(own) };
}

const arrayTypes: Readonly<Partial<Record<DType, new (buffer: ArrayBuffer) => RuntimeData>>> = {
  bool: Uint8Array,
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  float16: Uint16Array,
  float32: Float32Array,
  float64: Float64Array,
};

type RuntimeData = SampleArray['data'];
