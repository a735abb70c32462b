import { toBinary } from '@bufbuild/protobuf';
import { basename, dirname, relative, resolve } from 'node:path';
import { LoomweightError } from '../../../protocol/errors';
import type { Attribute, Graph, Node, Value } from '../../graph/graph';
import type { OperatorTable } from '../../graph/operator';
import type { ConstantData, TensorType } from '../../graph/types';
import {
  AttributeProto_AttributeType as Kind,
  AttributeProtoSchema,
  type AttributeProto,
  type GraphProto,
  type NodeProto,
  type TensorProto,
} from './generated/onnx';
import { raiseOpset } from './opset/raiseOpset';
import { OnnxWeights } from './tensorReader';
import { UniqueNames } from './uniqueNames';
import { inOrder } from './nodeOrder';
import { decodeTypeProto } from './typeProto';
import { FileWindow } from './wire/fileWindow';
import { readSkeleton } from './wire/skeleton';
import { constantBehind, lookUp } from '../../graph/scope';
import type { Scope } from '../../graph/scope';
import { missingGraph } from './refusals';

/** Options for reading a graph. */
export interface ReadGraphOptions {
  /** Shape rules infer the types that the file does not declare. Without them such values stay unknown. */
  readonly operators?: OperatorTable;
  /** Constants of at least this many bytes stay on disk as external constants. Default 64 KiB; Infinity loads all. */
  readonly externalFrom?: number;
  /** Upgrades the standard operators to at least this opset (`raiseOpset`), so that they can be trained: dropout keeps its ratio. */
  readonly opset?: number;
}

/**
 * Reads an ONNX file as a graph. Large constants are not loaded but become external constants whose `location` is relative to the file's
 * folder (often the file itself): given that folder, the runtime reads them from there. Bodies become graph attributes; operators without a
 * rule are kept, and the types behind them are unknown unless the file declares them. Functions are not expanded: their calls are such
 * operators. Errors: `malformed-file`, `unsupported` (sparse initialisers, a node without a form in the wanted opset).
 */
export async function readGraph(path: string, options: ReadGraphOptions = {}): Promise<Graph> {
  const absolute = resolve(path);
  const { model, weights } = FileWindow.use(absolute, readSkeleton);
  if (model.graph === undefined) throw missingGraph(absolute);
  if (options.opset !== undefined) {
    const names = new UniqueNames(model);
    raiseOpset(model, options.opset, (stem) => names.next(stem), 'training');
  }
  const files = new OnnxWeights(absolute, weights);
  const opsets: Record<string, number> = {};
  for (const entry of model.opsetImport) opsets[entry.domain === 'ai.onnx' ? '' : entry.domain] = Number(entry.version);
  if (opsets[''] === undefined) opsets[''] = 1;
  try {
    return await new GraphReader(absolute, files, opsets, options).graph(model.graph, undefined);
  } finally {
    await files.close();
  }
}

const unknownType: TensorType = { dtype: 'float32', shape: undefined, unknown: true };

class GraphReader {
  private readonly folder: string;

  constructor(
    private readonly path: string,
    private readonly files: OnnxWeights,
    private readonly opsets: Readonly<Record<string, number>>,
    private readonly options: ReadGraphOptions,
  ) {
    this.folder = dirname(path);
  }

  async graph(proto: GraphProto, outer: Scope | undefined): Promise<Graph> {
    const first = proto.sparseInitializer[0];
    if (first !== undefined)
      throw new LoomweightError(
        'unsupported',
        `Graphs with sparse initialisers are not supported: '${first.values?.name ?? ''}' in ${this.path}.`,
        {
          path: this.path,
        },
      );
    const scope: Scope = { values: new Map(), constants: new Map(), outer };
    const stated = new Map([...proto.valueInfo, ...proto.output].map((info) => [info.name, decodeTypeProto(info.type, info.name)]));
    const initializers = new Set(proto.initializer.map((tensor) => tensor.name));
    const inputs: Value[] = [];
    for (const info of proto.input) {
      // Old files list every initialiser as an input, although it is not fed.
      if (initializers.has(info.name)) continue;
      inputs.push(this.define(scope, info.name, decodeTypeProto(info.type, info.name)));
    }
    for (const tensor of proto.initializer) {
      const data = await this.constant(tensor);
      scope.constants.set(this.define(scope, tensor.name, { dtype: data.dtype, shape: data.shape }), data);
    }
    const nodes: Node[] = [];
    const nodeNames = new Map<string, number>();
    for (const [index, node] of inOrder(proto.node, (name) => lookUp(scope, name) !== undefined).entries()) {
      const name = uniqueNodeName(node, index, nodeNames);
      nodes.push(await this.node(node, name, scope, stated));
    }
    const outputs = proto.output.map((info) => {
      const value = lookUp(scope, info.name);
      if (value === undefined)
        throw new LoomweightError('malformed-file', `Nothing produces output '${info.name}' of graph '${proto.name}': ${this.path}.`, {
          path: this.path,
          value: info.name,
        });
      return value;
    });
    return { name: proto.name, inputs, outputs, nodes, constants: scope.constants, opsets: this.opsets };
  }

  private async node(node: NodeProto, name: string, scope: Scope, stated: ReadonlyMap<string, TensorType>): Promise<Node> {
    const attributes: Record<string, Attribute> = {};
    for (const attribute of node.attribute) attributes[attribute.name] = await this.attribute(attribute, scope);
    const inputs = node.input.map((input) => {
      if (input === '') return undefined;
      const value = lookUp(scope, input);
      if (value === undefined)
        throw new LoomweightError(
          'malformed-file',
          `Node '${name}' (${node.opType}) uses '${input}', which nothing before it produces: ${this.path}.`,
          { path: this.path, node: name, value: input },
        );
      return value;
    });
    const domain = node.domain === 'ai.onnx' ? '' : node.domain;
    const types = this.infer(node.opType, domain, name, inputs, attributes, node.output.length, scope);
    const outputs = node.output.map((output, index) => {
      if (output === '') return undefined;
      const declared = stated.get(output);
      const inferred = types[index];
      const type =
        declared !== undefined && declared.unknown !== true && declared.shape !== undefined
          ? declared
          : (inferred ?? declared ?? unknownType);
      return this.define(scope, output, type);
    });
    return { name, op: node.opType, domain, inputs, outputs, attributes };
  }

  /** Types by the operator's rule. If a rule refuses, that is for the verifier to report: here the types stay unknown. */
  private infer(
    op: string,
    domain: string,
    node: string,
    inputs: readonly (Value | undefined)[],
    attributes: Readonly<Record<string, Attribute>>,
    outputCount: number,
    scope: Scope,
  ): readonly TensorType[] {
    const operator = this.options.operators?.get(domain, op);
    if (operator === undefined) return [];
    try {
      return operator.infer(
        inputs.map((value) => value?.type),
        {
          attributes,
          node,
          outputCount,
          constantOf: (index) => {
            const value = inputs[index];
            return value === undefined ? undefined : constantBehind(scope, value);
          },
        },
      );
    } catch (error) {
      if (error instanceof LoomweightError) return [];
      throw error;
    }
  }

  private async attribute(proto: AttributeProto, scope: Scope): Promise<Attribute> {
    const text = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
    if (proto.refAttrName === '')
      switch (kindOf(proto)) {
        case Kind.INT:
          return { kind: 'int', value: Number(proto.i) };
        case Kind.FLOAT:
          return { kind: 'float', value: proto.f };
        case Kind.STRING:
          return { kind: 'string', value: text(proto.s) };
        case Kind.INTS:
          return { kind: 'ints', value: proto.ints.map(Number) };
        case Kind.FLOATS:
          return { kind: 'floats', value: proto.floats };
        case Kind.STRINGS:
          return { kind: 'strings', value: proto.strings.map(text) };
        case Kind.TENSOR:
          // A tensor attribute must be in the message: not all readers resolve external data there.
          if (proto.t !== undefined) return { kind: 'tensor', value: await this.inline(proto.t) };
          break;
        case Kind.GRAPH:
          if (proto.g !== undefined) return { kind: 'graph', value: await this.graph(proto.g, scope) };
          break;
      }
    return { kind: 'opaque', value: toBinary(AttributeProtoSchema, proto) };
  }

  private async constant(tensor: TensorProto): Promise<ConstantData> {
    const { dtype, shape } = this.files.describe(tensor);
    const place = await this.files.locate(tensor);
    if (place === undefined || place.length < (this.options.externalFrom ?? 65_536)) return this.inline(tensor);
    const location = place.file === this.path ? basename(this.path) : relative(this.folder, place.file).split('\\').join('/');
    return { kind: 'external', dtype, shape, location, offset: place.offset, length: place.length };
  }

  private async inline(tensor: TensorProto): Promise<ConstantData> {
    return { kind: 'inline', ...this.files.describe(tensor), bytes: await this.files.read(tensor) };
  }

  private define(scope: Scope, name: string, type: TensorType): Value {
    if (scope.values.has(name))
      throw new LoomweightError('malformed-file', `Two values are named '${name}': ${this.path}.`, { path: this.path, value: name });
    const value = { name, type };
    scope.values.set(name, value);
    return value;
  }
}

/** Files before IR version 2 do not declare the kind of an attribute: it follows from the field that is set. */
function kindOf(proto: AttributeProto): Kind {
  if (proto.type !== Kind.UNDEFINED) return proto.type;
  if (proto.t !== undefined) return Kind.TENSOR;
  if (proto.g !== undefined) return Kind.GRAPH;
  if (proto.ints.length > 0) return Kind.INTS;
  if (proto.floats.length > 0) return Kind.FLOATS;
  if (proto.strings.length > 0) return Kind.STRINGS;
  if (proto.s.byteLength > 0) return Kind.STRING;
  if (proto.f !== 0) return Kind.FLOAT;
  return Kind.INT;
}

/** Names of nodes are arbitrary in ONNX; ours are unique. `taken` counts how often a base name was requested. */
function uniqueNodeName(node: NodeProto, index: number, taken: Map<string, number>): string {
  const stem = node.name || `${node.opType}_${index}`;
  let count = taken.get(stem) ?? 0;
  let name = count === 0 ? stem : `${stem}_${count}`;
  while (count > 0 && taken.has(name)) {
    count += 1;
    name = `${stem}_${count}`;
  }
  taken.set(stem, count + 1);
  if (name !== stem) taken.set(name, 1);
  return name;
}
