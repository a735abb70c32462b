import { LoomweightError } from '../../../protocol/errors';
import type { GraphBuilder } from '../builder';
import type { Attribute, Graph, Node, Value } from '../graph';
import { formatType, shapesMayBeEqual } from '../shapes';
import type { Dimension, TensorType } from '../types';

/**
 * The replacement of a node: a value for each output, or a body of the node (of the old graph, without inputs) that is copied in its place.
 */
export type Replacement = readonly Value[] | { readonly kind: 'body'; readonly body: Graph };

/**
 * Replaces a node while it is copied. Undefined: the node is copied unchanged. `inputs` are the node's inputs in the new graph. May add
 * nodes and constants to `build`.
 */
export type NodeRewrite = (node: Node, inputs: readonly (Value | undefined)[], build: GraphBuilder) => Replacement | undefined;

/** Options for copying a graph. */
export interface InlineOptions {
  /** Prefix of every copied name. Names that are already taken also get a number. Default: none. */
  readonly prefix?: string;
  /** Known lengths of named axes, substituted into the declared types of bodies' inputs. */
  readonly dimensions?: ReadonlyMap<string, number>;
  readonly rewrite?: NodeRewrite;
}

/**
 * Copies the nodes and constants of `graph` into the graph being built. Each graph input, and any constant, is replaced by the value under
 * its name in `substitutes`; unused constants are omitted. Types are inferred again, so that they follow the types of the substitutes.
 * Bodies of Loop, If and Scan are copied with what they capture. The graph's operators must have the same meaning in the builder's opset.
 *
 * Returns the new value of each copied value by its name in `graph`, including every graph output. Errors: `invalid-argument` for an input
 * without a substitute, a substitute of another type, and a name that is neither an input nor a constant; and the builder's errors, with
 * the node's name.
 */
export function inlineGraph(
  build: GraphBuilder,
  graph: Graph,
  substitutes: ReadonlyMap<string, Value>,
  options: InlineOptions = {},
): ReadonlyMap<string, Value> {
  const replaced = new Map<Value, Value>();
  const replaceable = new Map([...graph.constants.keys(), ...graph.inputs].map((value) => [value.name, value]));
  for (const [name, substitute] of substitutes) {
    const value = replaceable.get(name);
    if (value === undefined)
      throw new LoomweightError('invalid-argument', `Graph '${graph.name}' has neither an input nor a constant named '${name}'.`, {
        graph: graph.name,
        value: name,
      });
    requireSubstitutable(graph, value, substitute);
    replaced.set(value, substitute);
  }
  const missing = graph.inputs.find((value) => !replaced.has(value) && !graph.constants.has(value));
  if (missing !== undefined)
    throw new LoomweightError(
      'invalid-argument',
      `Input '${missing.name}' (${formatType(missing.type)}) of graph '${graph.name}' has no value. Pass one.`,
      { graph: graph.name, value: missing.name },
    );
  const copied = new Copier(build, graph, options, replaced, undefined).copy();
  return new Map([...copied].map(([value, made]) => [value.name, made]));
}

function requireSubstitutable(graph: Graph, value: Value, substitute: Value): void {
  if (value.type.unknown === true || substitute.type.unknown === true) return;
  if (value.type.dtype === substitute.type.dtype && shapesMayBeEqual(value.type.shape, substitute.type.shape)) return;
  throw new LoomweightError(
    'invalid-argument',
    `'${value.name}' of graph '${graph.name}' is ${formatType(value.type)}, but its substitute '${substitute.name}' is ${formatType(substitute.type)}.`,
    { graph: graph.name, value: value.name, substitute: substitute.name },
  );
}

/** Copies one graph or body. Constants are added on first use, so that unused ones are omitted. */
class Copier {
  private readonly valueNames: ReadonlySet<string>;

  constructor(
    private readonly build: GraphBuilder,
    private readonly graph: Graph,
    private readonly options: InlineOptions,
    private readonly made: Map<Value, Value>,
    private readonly outer: Copier | undefined,
  ) {
    const values = [...graph.inputs, ...graph.constants.keys(), ...graph.nodes.flatMap((node) => node.outputs)];
    this.valueNames = new Set(values.flatMap((value) => (value ? [value.name] : [])));
  }

  copy(): Map<Value, Value> {
    for (const node of this.graph.nodes) this.copyNode(node);
    for (const output of this.graph.outputs) this.get(output);
    return this.made;
  }

  private copyNode(node: Node): void {
    const inputs = node.inputs.map((input) => input && this.get(input));
    const replacement = this.options.rewrite?.(node, inputs, this.build) ?? this.copyAsItIs(node, inputs);
    const outputs = 'kind' in replacement ? this.copyInPlace(replacement.body) : replacement;
    node.outputs.forEach((output, index) => {
      const value = outputs[index];
      if (output && value) this.made.set(output, value);
    });
  }

  private copyAsItIs(node: Node, inputs: readonly (Value | undefined)[]): readonly Value[] {
    const attributes: Record<string, Attribute> = {};
    for (const [name, attribute] of Object.entries(node.attributes))
      attributes[name] = attribute.kind === 'graph' ? { kind: 'graph', value: this.copyBody(attribute.value) } : attribute;
    const count = node.outputs.reduce((used, output, index) => (output ? index + 1 : used), 0);
    const taken = new Set<string>();
    const outputNames = Array.from({ length: count }, (_, index) => {
      const name = this.freeName(node.outputs[index]?.name ?? `${node.name}_unused${index}`, taken);
      taken.add(name);
      return name;
    });
    // Some exporters give a node the same name as a value; values keep their names, nodes are renamed.
    const name = this.freeName(this.valueNames.has(node.name) ? `${node.name}/${node.op}` : node.name, taken);
    return this.build.node(node.op, inputs, attributes, { domain: node.domain, name, outputNames });
  }

  /** A branch that is known to be taken: its nodes become nodes of this graph. */
  private copyInPlace(body: Graph): readonly Value[] {
    const copier = new Copier(this.build, body, this.options, new Map(), this);
    copier.copy();
    return body.outputs.map((output) => copier.get(output));
  }

  private copyBody(graph: Graph): Graph {
    const body = this.build.subgraph(this.build.freeName(this.prefixed(graph.name)));
    const made = new Map<Value, Value>();
    const copier = new Copier(body, graph, this.options, made, this);
    for (const input of graph.inputs) made.set(input, body.input(copier.freeName(input.name), this.withKnownLengths(input.type)));
    copier.copy();
    const ownValues = new Set(body.nodesSoFar().flatMap((node) => node.outputs));
    const declared = new Set<Value>();
    for (const output of graph.outputs) {
      const value = copier.get(output);
      // A body returns values that it computes itself, each once; values that it only passes on go through an Identity.
      const passedOn = !ownValues.has(value) || declared.has(value);
      declared.add(body.output(passedOn ? body.op('Identity', [value], {}, { name: this.prefixed(`${output.name}/passed`) }) : value));
    }
    return body.finish();
  }

  private get(value: Value): Value {
    const found = this.find(value);
    if (found) return found;
    throw new LoomweightError('invalid-argument', `Graph '${this.graph.name}' uses '${value.name}' before it is produced.`, {
      graph: this.graph.name,
      value: value.name,
    });
  }

  private find(value: Value): Value | undefined {
    const made = this.made.get(value);
    if (made) return made;
    const data = this.graph.constants.get(value);
    if (data === undefined) return this.outer?.find(value);
    const constant = this.build.constant(data, this.freeName(value.name));
    this.made.set(value, constant);
    return constant;
  }

  private freeName(name: string, taken?: ReadonlySet<string>): string {
    const free = this.build.freeName(this.prefixed(name));
    return taken?.has(free) === true ? this.freeName(`${name}_`, taken) : free;
  }

  private prefixed(name: string): string {
    return `${this.options.prefix ?? ''}${name}`;
  }

  private withKnownLengths(type: TensorType): TensorType {
    const { dimensions } = this.options;
    if (dimensions === undefined || type.shape === undefined) return type;
    return {
      ...type,
      shape: type.shape.map((length): Dimension => (typeof length === 'string' ? (dimensions.get(length) ?? length) : length)),
    };
  }
}
