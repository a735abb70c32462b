import { LoomweightError } from '../../../protocol/errors';
import type { Graph } from '../../graph/graph';
import { pruneGraph } from '../../graph/passes/prune';
import { operators } from '../../ops/index';
import type { FoundParameters } from './onnxParameters';

/**
 * What whoever trains an imported graph should know beforehand: tensors that stay as they are, and rounding inside the graph that no gradient passes.
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
        ? `No gradient reaches any weight of ${path}: all are behind ${where}. Train the float model from before quantisation.`
        : `No gradient reaches any weight of ${path}: no output changes with small changes of them.`,
      { path, rounding: rounding.map(({ name }) => name) },
    );
  const note = (names: readonly string[], what: string): readonly string[] => (names.length === 0 ? [] : [`${what}: ${shown(names)}.`]);
  return [
    ...(rounding.length === 0
      ? []
      : [
          `No gradient passes ${where}: what comes before is trained along other paths only. Prefer to train the float model from before quantisation.`,
        ]),
    ...note(still, 'Tensors that get no gradient and stay as they are'),
    ...note(
      left.filter(({ why }) => why === 'type').map(({ name }) => name),
      'Tensors that are not float32 and stay as they are',
    ),
    ...note(
      left.filter(({ why }) => why === 'body').map(({ name }) => name),
      'Tensors that a Loop or If uses inside, and that stay as they are',
    ),
  ];
}

const shownNames = 5;

function shown(names: readonly string[]): string {
  const first = names.slice(0, shownNames).map((name) => `'${name}'`);
  return [...first, ...(names.length > shownNames ? [`${names.length - shownNames} more`] : [])].join(', ');
}
