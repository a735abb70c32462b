import { freemem } from 'node:os';
import { float32Bytes } from '../writers/sizes';
import type { OutputWriter } from '../writers/outputWriter';
import type { ModelSource } from '../../models/modelSource';

/** Largest model that is built as one message: protobuf ends at 2 GiB, and the float graph is held inline. */
const largestFloat = 2 ** 30;
/** The process with the runtime loaded, before a model is opened (measured: 110 to 160 MB), and chunks on their way from and to disk. */
export const processBytes = 180e6 + 64e6;
/** Further copies of weights that are inside an ONNX file: the runtime reads the whole message before it takes the weights from it. */
const inlineCopies = 2;
/** Copies of a language model's weights: as arrays, in the encoded message, in the session and repacked for its kernels, and what the session before has not given back yet. */
const decoderCopies = 6;

/**
 * Memory of running source and result in turn, beside the process itself. 0 where the output is the source, byte for byte. `changes`: weights are planned.
 */
export function wholeModelBytes(source: ModelSource, writer: Pick<OutputWriter, 'comparing'>, changes: boolean): number {
  const weights = float32Bytes(source);
  if (source.decoder) return decoderCopies * weights;
  if (source.container.format !== 'onnx') return 0;
  const inline = [...source.tensors.values()].reduce(
    (sum, { entry }) => sum + (entry.location?.file === source.container.path ? entry.bytes : 0),
    0,
  );
  return changes || inline < weights / 2 ? writer.comparing * weights + inlineCopies * inline : 0;
}

/**
 * True if the whole model may be run for verification: it fits under the limit with what is resident meanwhile, the planned tensors. The forecast and the job ask the
 * same question (without a limit: half of what is free), so that a job that was forecast to check blocks or bytes only does so.
 */
export function fitsWhole(
  source: ModelSource,
  writer: Pick<OutputWriter, 'comparing'>,
  {
    memoryLimit,
    residentBytes,
    changes,
  }: { readonly memoryLimit: number | undefined; readonly residentBytes: number; readonly changes: boolean },
): boolean {
  if (source.decoder && float32Bytes(source) >= largestFloat) return false;
  const needed = wholeModelBytes(source, writer, changes);
  return memoryLimit === undefined ? needed < freemem() / 2 : processBytes + residentBytes + needed <= memoryLimit;
}
