import type { VerificationCheck } from '../../../protocol/report';
import { readableGraph } from '../../evaluate/readableGraph';
import { findGraphProblems, type GraphProblem } from '../../graph/verifier';
import { operators } from '../../ops';

/**
 * Reads a written ONNX file back as a graph and looks for mistakes in it: values that nothing makes, types that no operator
 * gives, constants that do not fill their shapes. What the source already had does not count. Weights are not loaded.
 * Undefined if the file has something that is not read as a graph.
 */
export async function verifyGraphFile(path: string, source?: string): Promise<VerificationCheck | undefined> {
  const written = await mistakesIn(path);
  if (written === undefined) return undefined;
  const before = new Set((source === undefined ? undefined : await mistakesIn(source))?.map(withoutNode));
  const added = written.filter((problem) => !before.has(withoutNode(problem)));
  const first = added[0];
  return {
    name: 'graph',
    passed: added.length === 0,
    measured: added.length,
    limit: 0,
    unit: 'mistakes',
    ...(first === undefined ? {} : { note: first.message }),
  };
}

/** A mistake, wherever a graph has it: nodes without a name are named by their place, which a copy changes. */
function withoutNode({ message }: GraphProblem): string {
  return message.replace(/Node '[^']*'/, 'A node');
}

/** Operators without a rule of ours are not an error. */
async function mistakesIn(path: string): Promise<readonly GraphProblem[] | undefined> {
  const graph = await readableGraph(path, 'unsupported');
  return graph && findGraphProblems(graph, operators).filter((problem) => problem.code !== 'unknown-operator');
}
