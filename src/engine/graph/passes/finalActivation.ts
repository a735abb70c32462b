import type { Graph, Node, Value } from '../graph';

/** An activation that turns class scores into probabilities, as a graph's last step. */
export interface FinalActivation {
  readonly kind: 'softmax' | 'log-softmax' | 'sigmoid';
  /** The output that it makes, by name. */
  readonly output: string;
  /** The scores before it (logits), in the output's row-major order but perhaps of another shape. */
  readonly scores: Value;
}

const kinds: ReadonlyMap<string, FinalActivation['kind']> = new Map([
  ['Softmax', 'softmax'],
  ['LogSoftmax', 'log-softmax'],
  ['Sigmoid', 'sigmoid'],
]);

/** Operators that keep the row-major order of values; those that round keep them to the rounding error. */
const keepsOrder: ReadonlySet<string> = new Set([
  'Cast',
  'DequantizeLinear',
  'Flatten',
  'Identity',
  'QuantizeLinear',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
]);

/**
 * The activation behind an output (default: the first), looking through operators that keep the order of values. Undefined where the output is not made by one,
 * or by a Softmax that is not over the classes: the axes behind its axis must have length 1.
 */
export function finalActivation(
  graph: Graph,
  output: Value | undefined = graph.outputs[0],
  producers = producersOf(graph),
): FinalActivation | undefined {
  if (output === undefined) return undefined;
  const node = nodeBehind(producers, output)?.node;
  const kind = node?.domain === '' ? kinds.get(node.op) : undefined;
  const scores = node?.inputs[0];
  if (!node || !kind || !scores) return undefined;
  if (kind !== 'sigmoid' && !isOverClasses(node, scores, graph.opsets[''] ?? 1)) return undefined;
  return { kind, output: output.name, scores };
}

/** The node that makes each value of a graph. */
export function producersOf({ nodes }: Graph): ReadonlyMap<Value, Node> {
  const producers = new Map<Value, Node>();
  for (const node of nodes) for (const output of node.outputs) if (output) producers.set(output, node);
  return producers;
}

/** The node that makes a value and the output of it that is meant, looking through operators that keep the order of values. Undefined for inputs and constants. */
export function nodeBehind(producers: ReadonlyMap<Value, Node>, value: Value): { readonly node: Node; readonly made: Value } | undefined {
  let made = value;
  let node = producers.get(made);
  while (node && node.domain === '' && keepsOrder.has(node.op)) {
    const [before] = node.inputs;
    if (!before) return undefined;
    made = before;
    node = producers.get(made);
  }
  return node && { node, made };
}

/** True if one softmax spans a whole sample: before opset 13 all axes from `axis` on (default 1), later `axis` alone (default the last). */
function isOverClasses(node: Node, scores: Value, opset: number): boolean {
  const given = node.attributes['axis'];
  const axis = given?.kind === 'int' ? given.value : opset < 13 ? 1 : -1;
  const { shape } = scores.type;
  if (shape === undefined) return axis === 1 || axis === -1;
  const place = axis < 0 ? axis + shape.length : axis;
  const single = (from: number, to?: number): boolean => shape.slice(from, to).every((length) => length === 1);
  return opset < 13 ? single(1, place) : single(1, place) && single(place + 1);
}
