import { LoomweightError } from '../../../../protocol/errors';

/** Nodes that a model may have once its functions are expanded: the runtime copies a function's nodes for every call. Real models have tens of thousands. */
const mostNodes = 500_000;

/** Nodes of a graph or of a function, by operator with domain. */
export type CallCounts = Map<string, number>;

/** An operator's name with its domain. */
export function callKey(domain: string, op: string): string {
  return `${domain === 'ai.onnx' ? '' : domain}:${op}`;
}

/**
 * Refuses a model whose functions call one another so often that expanding them would not end. A few kilobytes can ask for 2^24 nodes. Errors: `unsupported`,
 * `malformed-file` for functions that call themselves.
 */
export function checkFunctionCalls(path: string, graph: CallCounts, functions: ReadonlyMap<string, CallCounts>): void {
  if (functions.size === 0) return;
  const sizes = new Map<string, number | undefined>();
  // Depth first without recursion: a chain of functions may be as long as the file.
  for (const start of functions.keys()) {
    const stack = [start];
    while (stack.length > 0) {
      const name = stack.at(-1) as string;
      if (sizes.get(name) !== undefined) {
        stack.pop();
        continue;
      }
      const open = [...(functions.get(name) as CallCounts).keys()].filter(
        (callee) => functions.has(callee) && sizes.get(callee) === undefined,
      );
      if (open.length === 0) {
        sizes.set(name, expanded(functions.get(name) as CallCounts, sizes));
        stack.pop();
      } else {
        if (sizes.has(name) || open.includes(name))
          throw new LoomweightError('malformed-file', `Function '${name.replace(/^:/, '')}' of ${path} calls itself.`, {
            path,
            function: name,
          });
        sizes.set(name, undefined);
        stack.push(...open);
      }
    }
  }
  const nodes = expanded(graph, sizes);
  if (nodes > mostNodes)
    throw new LoomweightError(
      'unsupported',
      `The functions of ${path} expand to ${nodes > 1e15 ? 'more than 1e15' : nodes} nodes; at most ${mostNodes} are supported. Export the model without functions.`,
      { path, nodes, limit: mostNodes },
    );
}

function expanded(counts: CallCounts, sizes: ReadonlyMap<string, number | undefined>): number {
  let sum = 0;
  for (const [name, count] of counts) sum += count * (sizes.get(name) ?? 1);
  return sum;
}
