import { readGraph } from '../formats/onnx/readGraph';
import { decodeToFloat32, isDecodable } from '../formats/decode';
import type { Graph, Node, Value } from '../graph/graph';
import { allNodes } from '../graph/passes/settings';
import type { ConstantData } from '../graph/types';
import { LayoutMismatch, type Trace } from './storage/pieceTypes';

/** Constants below this are read with the graph: shapes, tables and groups of columns, not weights. */
const smallConstant = 2 ** 20;
/** Nodes that unpack a weight, with the first nodes of its users. */
const furthest = 32;

/** The graph of an ONNX file as a witness of how its tensors are stored. */
export class GraphTraces {
  private readonly users = new Map<string, Node[]>();

  private constructor(private readonly graph: Graph) {
    for (const node of allNodes(graph))
      for (const input of node.inputs) {
        if (!input) continue;
        const users = this.users.get(input.name);
        if (users) users.push(node);
        else this.users.set(input.name, [node]);
      }
  }

  /** Reads the nodes of a file. Errors: those of `readGraph`. */
  static async of(path: string): Promise<GraphTraces> {
    return new GraphTraces(await readGraph(path, { externalFrom: smallConstant }));
  }

  /** Refuses a layout of which the graph shows otherwise. `pieces`: names in the file by the ending of the piece. Errors: `LayoutMismatch`. */
  check(traces: readonly Trace[], pieces: Readonly<Record<string, string>>): void {
    for (const trace of traces) {
      const found = this.nodesFrom(pieces[trace.piece] as string).filter(({ op }) => op === trace.op);
      if (!found.some((node) => this.shows(node, trace))) throw new LayoutMismatch(trace.piece, describe(trace), 'none');
    }
  }

  private shows({ attributes, inputs }: Node, trace: Trace): boolean {
    for (const [name, value] of Object.entries(trace.attributes ?? {})) {
      const attribute = attributes[name];
      if ((attribute?.kind === 'int' ? attribute.value : 0) !== value) return false;
    }
    return trace.constant === undefined || inputs.some((input) => input && holds(this.constantOf(input), trace.constant!));
  }

  private constantOf(value: Value): ConstantData | undefined {
    return this.graph.constants.get(value);
  }

  /** Nodes that work on a value, the nearest first. */
  private nodesFrom(name: string): readonly Node[] {
    const seen = new Set<Node>();
    let values = [name];
    for (let step = 0; step < furthest && values.length > 0 && seen.size < 4 * furthest; step += 1) {
      const nodes = values.flatMap((value) => this.users.get(value) ?? []).filter((node) => !seen.has(node));
      for (const node of nodes) seen.add(node);
      values = nodes.flatMap(({ outputs }) => outputs.flatMap((output) => (output ? [output.name] : [])));
    }
    return [...seen];
  }
}

function holds(constant: ConstantData | undefined, numbers: readonly number[]): boolean {
  if (constant?.kind !== 'inline' || !isDecodable(constant.dtype)) return false;
  const values = decodeToFloat32(constant.dtype, constant.bytes);
  return values.length === numbers.length && numbers.every((number, index) => number === values[index]);
}

function describe({ op, attributes, constant }: Trace): string {
  const stated = Object.entries(attributes ?? {}).map(([name, value]) => `${name} = ${value}`);
  const numbers = constant && `[${constant.slice(0, 8).join(', ')}${constant.length > 8 ? ', ...' : ''}]`;
  return `a node ${op} with ${[...stated, ...(numbers ? [`the constant ${numbers}`] : [])].join(' and ')}`;
}
