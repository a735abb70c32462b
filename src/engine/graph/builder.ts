import { elementCount } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import type { Attribute, Attributes, Graph, Node, Value } from './graph';
import type { OperatorTable } from './operator';
import { formatShape, shapesMayBeEqual } from './shapes';
import type { ConstantData, TensorType } from './types';

/** Attribute values as passed to the builder. Integers are passed with `int`, because 1 and 1.0 are the same number in JavaScript. */
export type AttributeInput = Attribute | string | undefined;

/** An ONNX `int` attribute. */
export const int = (value: number): Attribute => ({ kind: 'int', value });
/** An ONNX `float` attribute. */
export const float = (value: number): Attribute => ({ kind: 'float', value });
/** An ONNX `ints` attribute. */
export const ints = (value: readonly number[]): Attribute => ({ kind: 'ints', value });

/**
 * Builds a graph node by node, in the order of computation. Names are made unique; types are inferred immediately by the operator's rule,
 * so that a wrong shape fails at the line that caused it.
 */
export class GraphBuilder {
  private readonly names: Set<string>;
  private readonly inputs: Value[] = [];
  private readonly outputs: Value[] = [];
  private readonly nodes: Node[] = [];
  private readonly constants = new Map<Value, ConstantData>();
  private readonly sharedConstants = new Map<string, Value>();
  private readonly usedDomains: Set<string>;

  constructor(
    private readonly operators: OperatorTable,
    private readonly graphName: string,
    private readonly opset = 21,
    private readonly outer?: GraphBuilder,
  ) {
    // Names and operator domains are shared by the whole model: a body may capture outer values, so it must not shadow them.
    this.names = outer?.names ?? new Set();
    this.usedDomains = outer?.usedDomains ?? new Set();
  }

  /**
   * A builder for a body of Loop, Scan or If. Its nodes may use values of this graph directly. Pass the finished body to the node as the
   * attribute `{ kind: 'graph', value: body.finish() }`.
   */
  subgraph(name: string): GraphBuilder {
    return new GraphBuilder(this.operators, name, this.opset, this);
  }

  /** Declares a graph input. Its name is kept. */
  input(name: string, type: TensorType): Value {
    const value = { name: this.claim(name, true), type };
    this.inputs.push(value);
    return value;
  }

  /** Adds a constant. Small inline constants with equal bytes are shared unless a name is requested. */
  constant(data: ConstantData, name?: string): Value {
    const key =
      name === undefined && data.kind === 'inline' && data.bytes.byteLength <= 256
        ? `${data.dtype}:${data.shape.join('x')}:${Buffer.from(data.bytes).toString('base64')}`
        : undefined;
    const shared = key === undefined ? undefined : this.sharedConstants.get(key);
    if (shared) return shared;
    const value = { name: this.claim(name ?? 'constant', name !== undefined), type: { dtype: data.dtype, shape: data.shape } };
    this.constants.set(value, data);
    if (key !== undefined) this.sharedConstants.set(key, value);
    return value;
  }

  /** A float32 constant; a scalar by default. */
  float32(values: number | readonly number[], shape?: readonly number[]): Value {
    const array = Float32Array.from(typeof values === 'number' ? [values] : values);
    return this.typed('float32', array, shape ?? (typeof values === 'number' ? [] : [array.length]));
  }

  /** An int64 constant; a vector by default, like shapes and axes. */
  int64(values: number | readonly number[], shape?: readonly number[]): Value {
    const array = BigInt64Array.from((typeof values === 'number' ? [values] : values).map(BigInt));
    return this.typed('int64', array, shape ?? (typeof values === 'number' ? [] : [array.length]));
  }

  /** Adds a node with one output and returns that output. */
  op(
    name: string,
    inputs: readonly (Value | undefined)[],
    attributes: Readonly<Record<string, AttributeInput>> = {},
    options: { readonly domain?: string; readonly name?: string } = {},
  ): Value {
    return this.node(name, inputs, attributes, { ...options, outputs: 1 })[0] as Value;
  }

  /** Adds a node and returns all its outputs. `outputNames` sets their names. */
  node(
    name: string,
    inputs: readonly (Value | undefined)[],
    attributes: Readonly<Record<string, AttributeInput>> = {},
    options: { readonly domain?: string; readonly name?: string; readonly outputs?: number; readonly outputNames?: readonly string[] } = {},
  ): Value[] {
    const domain = options.domain ?? '';
    const operator = this.operators.get(domain, name);
    if (!operator)
      throw new LoomweightError('unsupported', `Unknown operator ${domain ? `${domain}.` : ''}${name}. Add it to src/engine/ops.`, {
        op: name,
        domain,
      });
    const fullAttributes = normalizeAttributes(attributes);
    const outputCount = options.outputs ?? options.outputNames?.length ?? 1;
    const nodeName = this.claim(options.name ?? name, false);
    const types = this.inferTypes(operator, nodeName, inputs, fullAttributes, outputCount);
    const outputs = types.slice(0, outputCount).map((type, index) => {
      const given = options.outputNames?.[index];
      return { name: this.claim(given ?? `${nodeName}_output${index === 0 ? '' : index}`, given !== undefined), type };
    });
    this.usedDomains.add(domain);
    this.nodes.push({ name: nodeName, op: name, domain, inputs, outputs, attributes: fullAttributes });
    return outputs;
  }

  /**
   * Declares a value as a graph output, under another name if one is given (by adding an Identity). `shape` names the axes as users of the
   * graph should read them where inference can only name them after nodes; known lengths must agree.
   */
  output(value: Value, name?: string, shape?: TensorType['shape']): Value {
    if (name === undefined || (name === value.name && shape === undefined)) {
      this.outputs.push(value);
      return value;
    }
    if (!shapesMayBeEqual(value.type.shape, shape))
      throw new LoomweightError(
        'invalid-argument',
        `Output '${name}' of graph '${this.graphName}' is declared as ${formatShape(shape)}, but the graph produces ${formatShape(value.type.shape)}.`,
        { output: name },
      );
    const [made] = this.node('Identity', [value], {}, { outputNames: [name] }) as [Value];
    if (shape === undefined) {
      this.outputs.push(made);
      return made;
    }
    const declared = { ...made, type: { ...made.type, shape } };
    const node = this.nodes.pop() as Node;
    this.nodes.push({ ...node, outputs: [declared] });
    this.outputs.push(declared);
    return declared;
  }

  /** Returns the finished graph. The builder must not be used afterwards. */
  finish(): Graph {
    const opsets: Record<string, number> = { '': this.opset };
    for (const domain of this.usedDomains) if (domain !== '') opsets[domain] = 1;
    return { name: this.graphName, inputs: this.inputs, outputs: this.outputs, nodes: this.nodes, constants: this.constants, opsets };
  }

  /** A unique name: the given one, or that name followed by a number. */
  freeName(stem: string): string {
    if (!this.names.has(stem)) return stem;
    for (let suffix = 1; ; suffix += 1) {
      const candidate = `${stem}_${suffix}`;
      if (!this.names.has(candidate)) return candidate;
    }
  }

  /** The nodes added so far, in order, as differentiation traverses them. Nodes added later are not in the list. */
  nodesSoFar(): readonly Node[] {
    return [...this.nodes];
  }

  /** The constant behind a value, in this graph or an enclosing one. */
  constantOf(value: Value): ConstantData | undefined {
    return this.constants.get(value) ?? this.outer?.constantOf(value);
  }

  private typed(dtype: 'float32' | 'int64', array: Float32Array | BigInt64Array, shape: readonly number[]): Value {
    if (elementCount(shape) !== array.length)
      throw new LoomweightError(
        'invalid-argument',
        `A constant of shape [${shape.join(', ')}] needs ${elementCount(shape)} values, got ${array.length}.`,
      );
    return this.constant({ kind: 'inline', dtype, shape, bytes: new Uint8Array(array.buffer) });
  }

  private inferTypes(
    operator: { infer: NonNullable<ReturnType<OperatorTable['get']>>['infer'] },
    node: string,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes,
    outputCount: number,
  ): readonly TensorType[] {
    try {
      return operator.infer(
        inputs.map((value) => value?.type),
        {
          attributes,
          node,
          outputCount,
          constantOf: (index) => {
            const value = inputs[index];
            return value === undefined ? undefined : this.constantOf(value);
          },
        },
      );
    } catch (error) {
      if (!(error instanceof LoomweightError)) throw error;
      throw new LoomweightError(
        error.code,
        `${error.message} At node '${node}' of graph '${this.graphName}'.`,
        { ...error.details, node, graph: this.graphName },
        { cause: error },
      );
    }
  }

  private claim(name: string, exact: boolean): string {
    if (exact && this.names.has(name))
      throw new LoomweightError('invalid-argument', `Graph '${this.graphName}' has two values named '${name}'. Names must be unique.`);
    const free = this.freeName(name);
    this.names.add(free);
    return free;
  }
}

function normalizeAttributes(attributes: Readonly<Record<string, AttributeInput>>): Attributes {
  const result: Record<string, Attribute> = {};
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined) continue;
    result[key] = typeof value === 'string' ? { kind: 'string', value } : value;
  }
  return result;
}
