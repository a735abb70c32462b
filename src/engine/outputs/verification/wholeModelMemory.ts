import { freemem } from 'node:os';
import { processBytes } from '../../runtime/estimate';
import { float32Bytes } from '../writers/sizes';
import type { OutputWriter } from '../writers/outputWriter';
import type { ModelSource } from '../../models/modelSource';

/** Largest model that is built as one message: protobuf ends at 2 GiB, and the float graph is held inline. */
const largestFloat = 2 ** 30;
/** Further copies of weights that are inside an ONNX file: the runtime reads the whole message before it takes the weights from it. */
const inlineCopies = 2;
/**
 * Copies of a language model's weights: three and a half in the session of the original, which stays open to be timed beside the result; as arrays, in the encoded message, in
 * the session of the reference and repacked for its kernels.
 */
const decoderCopies = 8;

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
  if (changes) return writer.comparing * weights + inlineCopies * inline;
  // What is converted without a change is only run where weights that were beside the file come into it.
  return inline < weights / 2 ? (writer.comparing + inlineCopies) * weights : 0;
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
  return memoryLimit === undefined ? needed < freemem() / 2 : processBytes(float32Bytes(source)) + residentBytes + needed <= memoryLimit;
}
