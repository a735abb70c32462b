import { LoomweightError, type ErrorCode } from '../../protocol/errors';
import { readGraph } from '../formats/onnx/readGraph';
import type { Graph } from '../graph/graph';
import { operators } from '../ops';

/**
 * The graph of an ONNX file without the values of its weights, or undefined where it cannot be read: ONNX Runtime runs graphs that have no rule here. `code`: the only error that
 * counts as unreadable; others are thrown. Default: any.
 */
export async function readableGraph(path: string, code?: ErrorCode): Promise<Graph | undefined> {
  try {
    return await readGraph(path, { operators });
  } catch (error) {
    if (LoomweightError.is(error, code)) return undefined;
    throw error;
  }
}
