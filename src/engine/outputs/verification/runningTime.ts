import { readableGraph } from '../../evaluate/readableGraph';
import type { Graph, Node } from '../../graph/graph';
import { allNodes } from '../../graph/passes/settings';
import { timingLimits } from './latency';
import { freeLength } from './sampleFeeds';

/** Multiply-adds a second that a model reaches on two cores without optimisation, on the low side. */
const workPerSecond = 10e9;
/** Seconds that the runs at all settings of the runtime may take: a model that takes longer is compared at one of them. */
const runSeconds = 60;
/** Numbers of settings at which models are compared where the time allows: two where default and exact kernels are the same. */
const settings = [3, 2];

/** True if reference and result can run at so many settings of the runtime, where one run takes `seconds`. */
export function allLevelsFit(seconds: number, levels: number): boolean {
  return 2 * levels * seconds <= runSeconds;
}

/** Seconds that comparing an ONNX model with its result takes, from the shapes in its graph. Free axes count as they are fed. 0 for a graph that is not read. */
export async function comparingSeconds(path: string): Promise<number> {
  const graph = await readableGraph(path);
  return graph === undefined ? 0 : secondsOfRuns(multiplyAdds(graph) / workPerSecond);
}

/**
 * Seconds of all runs of a comparison, where one takes `seconds`: the original, reference and result at each setting, two to prepare the timing, and its rounds of two
 * runs, of which none begins after the limit.
 */
export function secondsOfRuns(seconds: number): number {
  const levels = settings.find((count) => allLevelsFit(seconds, count)) ?? 1;
  const timing = Math.min(2 * timingLimits.rounds * seconds, timingLimits.milliseconds / 1000 + 2 * seconds);
  return (1 + 2 * levels + 2) * seconds + timing;
}

/** Multiply-adds of one run: products and convolutions, which take nearly all of the time. Bodies count once, both branches of an If too. */
export function multiplyAdds(graph: Graph): number {
  return allNodes(graph).reduce((sum, node) => sum + workOf(node), 0);
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
