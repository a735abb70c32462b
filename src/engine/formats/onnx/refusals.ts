import { LoomweightError } from '../../../protocol/errors';

/** The error for a file that is not valid ONNX: the problem, and the byte offset if it is known. */
export function invalidOnnx(
  path: string,
  problem: string,
  at: { readonly offset?: number; readonly cause?: unknown } = {},
): LoomweightError {
  const { offset, cause } = at;
  const place = offset === undefined ? '' : ` at byte ${offset}`;
  return new LoomweightError(
    'malformed-file',
    `Not a valid ONNX file: ${problem}${place}: ${path}.`,
    offset === undefined ? { path } : { path, offset },
    cause === undefined ? undefined : { cause },
  );
}

/** The error for an ONNX file without a graph. */
export function missingGraph(path: string): LoomweightError {
  return new LoomweightError('malformed-file', `${path} contains no graph.`, { path, offset: 0 });
}

/** The error for a file that ends before a field does. `offset`: byte at which data is missing. */
export function truncatedOnnx(path: string, offset: number): LoomweightError {
  return new LoomweightError('malformed-file', `The file ends at byte ${offset}, in the middle of a field: ${path}.`, { path, offset });
}

/** The error for a model that exceeds what one protobuf message can hold. `what` names the part that takes the bytes. */
export function tooLargeForOneFile(what: string, bytes: number, details: Readonly<Record<string, unknown>> = {}): LoomweightError {
  return new LoomweightError(
    'unsupported',
    `An ONNX file holds at most 2 GiB, but ${what} of ${bytes} bytes. Write the weights as external data.`,
    { bytes, ...details },
  );
}
