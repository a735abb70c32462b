import { LoomweightError } from '../../../protocol/errors';
import { activationNames } from '../../evaluate/classScores';
import type { Graph } from '../../graph/graph';
import { finalActivation } from '../../graph/passes/finalActivation';
import { pruneGraph } from '../../graph/passes/prune';
import { operators } from '../../ops/index';
import type { FoundParameters } from './onnxParameters';

/**
 * Notes for the user before an imported graph is trained: tensors that stay unchanged, and rounding inside the graph that no gradient passes.
 * Errors: `unsupported` where no gradient reaches any parameter, so that nothing would be learned.
 */
export function trainingNotes(graph: Graph, { parameters, left }: FoundParameters, path: string): readonly string[] {
  const needed = pruneGraph(graph);
  const rounding = needed.nodes.filter((node) => operators.rounds(node));
  const still = parameters.filter(({ used, value }) => !used && needed.constants.has(value)).map(({ value }) => value.name);
  const first = `'${rounding[0]?.name}' (${rounding[0]?.op})`;
  const where = rounding.length === 1 ? `${first}, which rounds values` : `${rounding.length} nodes that round values, ${first} first`;
  if (parameters.every(({ used }) => !used))
    throw new LoomweightError(
      'unsupported',
      rounding.length > 0
        ? `No gradient reaches any weight of ${path}: all are behind ${where}. Train the float model instead.`
        : `No gradient reaches any weight of ${path}: no output depends on them smoothly.`,
      { path, rounding: rounding.map(({ name }) => name) },
    );
  const note = (names: readonly string[], what: string): readonly string[] => (names.length === 0 ? [] : [`${what}: ${shown(names)}.`]);
  const activation = finalActivation(graph);
  return [
    // A log-softmax of a log-softmax is itself: the loss is the same either way.
    ...(activation === undefined || activation.kind === 'log-softmax'
      ? []
      : [`Output '${activation.output}' is ${activationNames[activation.kind]}: losses of class labels use the logits before it.`]),
    ...(rounding.length === 0
      ? []
      : [`No gradient passes through ${where}: weights before it are trained along other paths only. Prefer to train the float model.`]),
    ...note(still, 'Tensors without a gradient, which stay unchanged'),
    ...note(
      left.filter(({ why }) => why === 'type').map(({ name }) => name),
      'Tensors that are not float32, which stay unchanged',
    ),
    ...note(
      left.filter(({ why }) => why === 'body').map(({ name }) => name),
      'Tensors used inside a Loop or If, which stay unchanged',
    ),
  ];
}

const shownNames = 5;

function shown(names: readonly string[]): string {
  const first = names.slice(0, shownNames).map((name) => `'${name}'`);
  return [...first, ...(names.length > shownNames ? [`${names.length - shownNames} more`] : [])].join(', ');
}
