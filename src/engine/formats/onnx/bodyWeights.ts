import type { GraphProto, NodeProto, TensorProto } from './generated/onnx';
import type { ValueUse } from './modelIndex';
import { constantTensor } from './tensorMessages';
import { bodiesOf, graphsOf } from './walk';

/** A weight of a body of If, Loop or Scan: an initialiser, or the output of a Constant node. */
export interface BodyWeight {
  /** Name as the listing of the file gives it: the path to the body, then the name. */
  readonly name: string;
  /** Name inside the body. */
  readonly local: string;
  readonly body: GraphProto;
  readonly tensor: TensorProto;
  /** The Constant node; undefined for an initialiser. */
  readonly constant: NodeProto | undefined;
  /** Nodes of the body, and of bodies inside it, that take the weight. */
  readonly uses: readonly ValueUse[];
  /** Its name in the main graph, once it was moved there. */
  hoisted?: string;
}

/** What the bodies of a model hold, by one pass over them. */
export class BodyIndex {
  /** Weights by name. Those that share a name with another tensor of the file are left out: nothing would tell them apart. */
  readonly weights: ReadonlyMap<string, BodyWeight>;
  private readonly bodies = new Map<NodeProto, GraphProto>();
  private readonly outputs = new Map<GraphProto, ReadonlySet<string>>();

  constructor(main: GraphProto) {
    const found = new Map<string, BodyWeight | undefined>();
    for (const { name } of main.initializer) found.set(name, undefined);
    this.outputs.set(main, new Set(main.output.map(({ name }) => name)));
    eachBody(main, '', (body, scope) => {
      const uses = usesIn(body);
      this.outputs.set(body, new Set(body.output.map(({ name }) => name)));
      const add = (local: string, tensor: TensorProto, constant?: NodeProto) => {
        const name = `${scope}${local}`;
        found.set(name, found.has(name) ? undefined : { name, local, body, tensor, constant, uses: uses.get(local) ?? [] });
      };
      for (const node of body.node) {
        this.bodies.set(node, body);
        const tensor = constantTensor(node);
        if (tensor !== undefined && node.output[0]) add(node.output[0], tensor, node);
      }
      for (const tensor of body.initializer) add(tensor.name, tensor);
    });
    this.weights = new Map([...found].flatMap(([name, weight]) => (weight ? [[name, weight] as const] : [])));
  }

  /** The body that a node is in; undefined for nodes of the main graph. */
  bodyOf(node: NodeProto): GraphProto | undefined {
    return this.bodies.get(node);
  }

  /** True if a value is an output of a graph. */
  isOutput(name: string, graph: GraphProto): boolean {
    return this.outputs.get(graph)?.has(name) === true;
  }
}

/** Visits bodies with the path of names that a listing of the file puts in front of their tensors. */
function eachBody(graph: GraphProto, scope: string, visit: (body: GraphProto, scope: string) => void): void {
  graph.node.forEach((node, index) => {
    const label = node.name || node.output.find((name) => name !== '') || `${node.opType}#${index}`;
    for (const attribute of node.attribute)
      for (const body of graphsOf(attribute)) {
        const inner = `${scope}${label}/${attribute.name || 'body'}/`;
        visit(body, inner);
        eachBody(body, inner, visit);
      }
  });
}

/** Who takes which value in a body and in the bodies inside it. */
function usesIn(body: GraphProto): ReadonlyMap<string, readonly ValueUse[]> {
  const uses = new Map<string, ValueUse[]>();
  const visit = (graph: GraphProto): void => {
    for (const node of graph.node) {
      node.input.forEach((name, input) => {
        const known = uses.get(name);
        if (known) known.push({ node, input });
        else uses.set(name, [{ node, input }]);
      });
      bodiesOf(node).forEach(visit);
    }
  };
  visit(body);
  return uses;
}
