import { stat } from 'node:fs/promises';
import { LoomweightError } from '../../../protocol/errors';
import { namingForeignFiles, refusePointerFile } from '../../formats/files/foreignFile';
import { openNpy } from '../../formats/npy/openNpy';
import { checkSplit, type InputSignature, type SampleArray } from './dataSplit';
import { findArray } from './readDataSplit';

/**
 * Checks a folder of NumPy files against a graph's inputs by the files' headers, so that a job is refused before it starts. Of a table only its existence is checked, and that it is no
 * Git LFS pointer: its types are known once it has been read. Errors: `not-found`, `malformed-file`, `unsupported`, `invalid-argument` with both shapes.
 */
export async function checkDataHeaders(data: string, split: string, inputs: readonly InputSignature[]): Promise<void> {
  const status = await stat(data).catch(() => undefined);
  if (!status) throw new LoomweightError('not-found', `No data at ${data}. Check the path.`, { path: data });
  if (!status.isDirectory()) return refusePointerFile(data);
  const labels = await readHeader(data, split, 'label');
  const arrays = new Map<string, SampleArray>();
  for (const { name } of inputs) arrays.set(name, await readHeader(data, split, name));
  checkSplit({ description: `${data}, split '${split}'`, samples: labels.shape[0] ?? 0, inputs: arrays, labels }, inputs);
}

/** Type and shape of an array, without its values. */
async function readHeader(folder: string, split: string, name: string): Promise<SampleArray> {
  const file = await findArray(folder, split, name);
  const container = await namingForeignFiles(file, () => openNpy(file));
  try {
    const [tensor] = container.tensors.values();
    if (!tensor) throw new LoomweightError('malformed-file', `${file} contains no array.`, { path: file });
    return { dtype: tensor.dtype, shape: tensor.shape, data: new Uint8Array() };
  } finally {
    await container.close();
  }
}
