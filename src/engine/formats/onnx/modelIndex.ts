import { LoomweightError } from '../../../protocol/errors';
import type { GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto } from './generated/onnx';
import { LinkedItems, NamedItems } from './linkedItems';
import { constantTensor } from './tensorMessages';
import { eachGraph, eachGraphOfNode } from './walk';

/** A node that takes a value, and the place among its inputs. */
export interface ValueUse {
  readonly node: NodeProto;
  readonly input: number;
}

/**
 * What an edited model holds, by name: its weights, and who takes which value. Built by one pass over the model; each edit after that costs the same
 * however large the model is. The messages of the main graph are brought up to date by `store`.
 */
export class ModelIndex {
  private readonly nodes = new LinkedItems<NodeProto>();
  private readonly initializers = new NamedItems<TensorProto>();
  private readonly inputs = new NamedItems<ValueInfoProto>();
  private readonly valueInfo = new NamedItems<ValueInfoProto>();
  /** Constant nodes with a tensor, by the name of what they make. */
  private readonly constants = new Map<string, NodeProto>();
  /** Nodes of the main graph by what they make. */
  private readonly makers = new Map<string, NodeProto>();
  /** Users by value, in every graph of the model: places among the inputs of each node. */
  private readonly users = new Map<string, Map<NodeProto, Set<number>>>();
  private isStored = true;
  /** Lengths of the message's lists when they were read or stored last. */
  private known: string;

  constructor(
    model: ModelProto,
    private readonly graph: GraphProto,
  ) {
    this.known = this.lengths();
    this.nodes.append(graph.node);
    this.initializers.append(graph.initializer);
    this.inputs.append(graph.input);
    this.valueInfo.append(graph.valueInfo);
    graph.node.forEach((node) => this.noteOutputs(node));
    eachGraph(model, ({ node }) => node.forEach((item) => this.noteInputs(item)));
  }

  /** The tensor of an initialiser or of a Constant node. */
  tensorNamed(name: string): TensorProto | undefined {
    const constant = this.constants.get(name);
    return this.initializers.named(name) ?? (constant && constantTensor(constant));
  }

  /** Names of all weights: initialisers, then Constant nodes, each in the order of the model. */
  *weightNames(): IterableIterator<string> {
    const seen = new Set<string>();
    for (const { name } of this.initializers) {
      if (!seen.has(name)) yield name;
      seen.add(name);
    }
    // The order of the nodes, not that in which they became known.
    if (this.constants.size === 0) return;
    for (const node of this.nodes) {
      const name = node.output[0];
      if (name !== undefined && !seen.has(name) && this.constants.get(name) === node) yield name;
    }
  }

  /** Who takes a value, bodies included: in the order of the model, what was edited last. */
  usesOf(name: string): readonly ValueUse[] {
    return [...(this.users.get(name) ?? [])].flatMap(([node, inputs]) => [...inputs].map((input) => ({ node, input })));
  }

  isUsed(name: string): boolean {
    return this.users.has(name);
  }

  /** The node of the main graph that makes a value. */
  makerOf(name: string): NodeProto | undefined {
    return this.makers.get(name);
  }

  hasNode(node: NodeProto): boolean {
    return this.nodes.has(node);
  }

  hasInput(name: string): boolean {
    return this.inputs.named(name) !== undefined;
  }

  addInitializer(tensor: TensorProto): void {
    this.initializers.append([tensor]);
    this.isStored = false;
  }

  /** Puts a tensor in the place of an initialiser, or behind all where a Constant node made it; false if neither is there. */
  replaceWeight(name: string, tensor: TensorProto): boolean {
    const initializer = this.initializers.named(name);
    const constant = this.constants.get(name);
    if (initializer !== undefined) {
      this.initializers.insertBefore(initializer, [tensor]);
      this.initializers.remove(initializer);
    } else if (constant !== undefined) {
      this.removeNode(constant);
      this.initializers.append([tensor]);
    } else return false;
    // An input of the same name would let a caller put the old weight in again; value_info may state the old type.
    this.removeValue(name);
    return true;
  }

  /** Takes out every initialiser and Constant node of a name. */
  removeWeight(name: string): void {
    this.initializers.removeNamed(name);
    const constant = this.constants.get(name);
    if (constant !== undefined) this.removeNode(constant);
    this.isStored = false;
  }

  addInput(value: ValueInfoProto): void {
    this.inputs.append([value]);
    this.isStored = false;
  }

  removeInput(name: string): void {
    this.inputs.removeNamed(name);
    this.isStored = false;
  }

  /** Takes out what is declared of a value: it is then no input any more. */
  removeValue(name: string): void {
    this.removeInput(name);
    this.valueInfo.removeNamed(name);
  }

  /** Puts nodes in front of another of the main graph, or of all. */
  insertNodes(before: NodeProto | undefined, nodes: readonly NodeProto[]): void {
    this.nodes.insertBefore(before, nodes);
    for (const node of nodes) {
      this.noteOutputs(node);
      this.noteInputs(node);
      eachGraphOfNode(node, (graph) => graph.node.forEach((item) => this.noteInputs(item)));
    }
    this.isStored = false;
  }

  removeNode(node: NodeProto): void {
    this.nodes.remove(node);
    const name = node.output[0];
    if (name !== undefined && this.constants.get(name) === node) this.constants.delete(name);
    for (const output of node.output) if (this.makers.get(output) === node) this.makers.delete(output);
    this.forgetInputs(node);
    eachGraphOfNode(node, (graph) => graph.node.forEach((item) => this.forgetInputs(item)));
    this.isStored = false;
  }

  /** Makes a node of any graph take another value. */
  replaceInput(node: NodeProto, input: number, name: string): void {
    const before = node.input[input];
    if (before !== undefined) this.forgetUse(before, node, input);
    node.input[input] = name;
    this.noteUse(name, node, input);
  }

  /** Brings the lists of the main graph's message up to date. Errors: `internal` if other code changed them since the index was built. */
  store(): void {
    if (this.isStored) return;
    if (this.lengths() !== this.known)
      throw new LoomweightError(
        'internal',
        'A graph was changed directly while edits by name were pending. Get the graph from the editor again.',
      );
    this.graph.node = [...this.nodes];
    this.graph.initializer = [...this.initializers];
    this.graph.input = [...this.inputs];
    this.graph.valueInfo = [...this.valueInfo];
    this.isStored = true;
    this.known = this.lengths();
  }

  private lengths(): string {
    const { node, initializer, input, valueInfo } = this.graph;
    return [node, initializer, input, valueInfo].map(({ length }) => length).join(' ');
  }

  private noteOutputs(node: NodeProto): void {
    for (const output of node.output) this.makers.set(output, node);
    const name = node.output[0];
    if (name !== undefined && !this.constants.has(name) && constantTensor(node) !== undefined) this.constants.set(name, node);
  }

  private noteInputs(node: NodeProto): void {
    node.input.forEach((name, input) => this.noteUse(name, node, input));
  }

  private forgetInputs(node: NodeProto): void {
    node.input.forEach((name, input) => this.forgetUse(name, node, input));
  }

  private noteUse(name: string, node: NodeProto, input: number): void {
    let users = this.users.get(name);
    if (users === undefined) this.users.set(name, (users = new Map()));
    const inputs = users.get(node);
    if (inputs === undefined) users.set(node, new Set([input]));
    else inputs.add(input);
  }

  private forgetUse(name: string, node: NodeProto, input: number): void {
    const users = this.users.get(name);
    const inputs = users?.get(node);
    if (users === undefined || inputs === undefined) return;
    inputs.delete(input);
    if (inputs.size === 0) users.delete(node);
    if (users.size === 0) this.users.delete(name);
  }
}
