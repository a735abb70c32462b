import { LoomweightError } from '../../../protocol/errors';
import { readGraph } from '../../formats/onnx/readGraph';
import type { Graph, Node } from '../../graph/graph';
import { operators } from '../../ops';
import { freeLength } from './sampleFeeds';

/** Multiply-adds a second that a model reaches on two cores without optimisation, on the low side. */
const workPerSecond = 10e9;
/** Runs of a comparison: the original, reference and result at three settings, and two to prepare the timing. */
const comparedRuns = 9;
/** Runs where one setting only is compared. */
const fewestRuns = 5;
/** Rounds of the timing, of two runs each, and the seconds after which no further round begins. */
const timing = { runs: 30, seconds: 3 } as const;
/** As in `verifyOnnxModel`: beyond this the comparison has fewer settings. */
const runSeconds = 60;

/** Seconds that comparing an ONNX model with its result takes, from the shapes in its graph. Free axes count as they are fed. 0 for a graph that is not read. */
export async function comparingSeconds(path: string): Promise<number> {
  try {
    const graph = await readGraph(path, { operators });
    return secondsOfRuns(multiplyAdds(graph) / workPerSecond);
  } catch (error) {
    if (LoomweightError.is(error)) return 0;
    throw error;
  }
}

/** Seconds of all runs of a comparison, where one takes `seconds`. */
export function secondsOfRuns(seconds: number): number {
  const compared = (comparedRuns * seconds <= runSeconds ? comparedRuns : fewestRuns) * seconds;
  return compared + Math.min(timing.runs * seconds, timing.seconds + 2 * seconds);
}

/** Multiply-adds of one run: products and convolutions, which take nearly all of the time. Bodies count once. */
export function multiplyAdds(graph: Graph): number {
  return graph.nodes.reduce((sum, node) => sum + workOf(node), 0);
}

function workOf({ op, inputs, outputs }: Node): number {
  const output = elementsOf(outputs[0]?.type.shape);
  if (op === 'Conv') return output * elementsOf(inputs[1]?.type.shape?.slice(1));
  if (op === 'MatMul' || op === 'Gemm') return output * lengthOf(inputs[0]?.type.shape?.at(-1));
  return 0;
}

type Shape = readonly (number | string | undefined)[] | undefined;

function elementsOf(shape: Shape): number {
  return (shape ?? []).reduce<number>((product, length) => product * lengthOf(length), 1);
}

function lengthOf(length: number | string | undefined): number {
  return typeof length === 'number' && length > 0 ? length : freeLength;
}
