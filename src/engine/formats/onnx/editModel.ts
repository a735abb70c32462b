import { create, toBinary } from '@bufbuild/protobuf';
import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { LoomweightError, toLoomweightError } from '../../../protocol/errors';
import { newNodeMessage, newTensorMessage, type EditableWeight, type NewNode, type NewWeight, type WriteEditedOptions } from './edits';
import { largestMessage } from './encodeModel';
import { ExternalDataWriter, writeAll } from './externalDataWriter';
import {
  ModelProtoSchema,
  OperatorSetIdProtoSchema,
  ValueInfoProtoSchema,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from './generated/onnx';
import { BodyIndex } from './bodyWeights';
import { ModelIndex, type ValueUse } from './modelIndex';
import { OnnxWeights } from './tensorReader';
import { raiseOpset } from './opset/raiseOpset';
import { TensorFiller } from './tensorFiller';
import { UniqueNames } from './uniqueNames';
import { encodeTypeProto } from './typeProto';
import { eachGraph, eachTensor, isStandard, nodesOf } from './walk';
import { WeightTable } from './weightTable';
import { FileWindow } from './wire/fileWindow';
import { readSkeleton } from './wire/skeleton';
import type { WrittenModel } from './writeOnnxModel';
import { missingGraph, tooLargeForOneFile } from './refusals';

const autoLimit = 2 ** 30;

/** Opens an ONNX file for editing. */
export function editModel(path: string): Promise<OnnxEditor> {
  return OnnxEditor.open(path);
}

/**
 * An ONNX file being edited: the original messages, with weights left on disk. Everything else is written unchanged: metadata, doc strings,
 * functions, unknown fields. A weight is replaced by adding initialisers under names from `uniqueName`, inserting nodes, `replaceInput` and `removeUnusedWeights`.
 * Every edit takes the same time, however large the model is. `graph` is the generated message and may also be edited directly: get it again for
 * each such edit; the editor then scans the whole model again.
 */
export class OnnxEditor {
  private readonly names: UniqueNames;
  private readonly streamed = new Map<TensorProto, NewWeight>();
  private readonly table = new WeightTable({
    names: () => this.index.weightNames(),
    has: (name) => this.index.tensorNamed(name) !== undefined,
    get: (name) => this.weightNamed(name),
  });
  private knownIndex: ModelIndex | undefined;
  private knownBodies: BodyIndex | undefined;

  private constructor(
    readonly path: string,
    private readonly model: ModelProto,
    private readonly mainGraph: GraphProto,
    private readonly weightFiles: OnnxWeights,
  ) {
    this.names = new UniqueNames(model);
  }

  static async open(path: string): Promise<OnnxEditor> {
    const absolute = resolve(path);
    const { model, weights } = FileWindow.use(absolute, readSkeleton);
    if (model.graph === undefined) throw missingGraph(absolute);
    return new OnnxEditor(absolute, model, model.graph, new OnnxWeights(absolute, weights));
  }

  /** Opset of the standard domain. */
  get opset(): number {
    return Number(this.model.opsetImport.find(isStandard)?.version ?? 1n);
  }

  /** The message of the main graph in its current state. */
  get graph(): GraphProto {
    this.knownIndex?.store();
    this.knownIndex = undefined;
    this.knownBodies = undefined;
    return this.mainGraph;
  }

  /** Every node of the model, those in bodies and functions included, for edits of attributes. */
  nodes(): readonly NodeProto[] {
    void this.graph;
    return nodesOf(this.model);
  }

  /**
   * Weights by value name: a live view of the model. Reading the entry of a tensor of unknown type or impossible shape throws `malformed-file`.
   */
  weights(): ReadonlyMap<string, EditableWeight> {
    return this.table;
  }

  /** Matrices of bodies by the names that a listing of the file gives them. They are edited once `hoistWeight` made them weights of the main graph. */
  bodyWeights(): ReadonlyMap<string, EditableWeight> {
    const matrices = [...this.bodies.weights].filter(([, { tensor }]) => tensor.dims.length >= 2);
    return new Map(
      matrices.map(([name, { tensor, uses, local, body }]) => {
        const isOutput = this.bodies.isOutput(local, body);
        return [name, { name, ...this.weightFiles.describe(tensor), uses, isOutput }];
      }),
    );
  }

  /** Moves a weight of a body to the main graph, where the body still sees it; returns its name there. Names of the main graph come back as they are. */
  hoistWeight(name: string): string {
    const weight = this.index.tensorNamed(name) ? undefined : this.bodies.weights.get(name);
    if (weight === undefined || weight.hoisted !== undefined) return weight?.hoisted ?? name;
    const { tensor, body, constant, uses } = weight;
    if (constant) body.node = body.node.filter((item) => item !== constant);
    else body.initializer = body.initializer.filter((item) => item !== tensor);
    body.valueInfo = body.valueInfo.filter((value) => value.name !== weight.local);
    tensor.name = weight.hoisted = this.uniqueName(name);
    this.modernize();
    this.index.addInitializer(tensor);
    for (const { node, input } of uses) this.index.replaceInput(node, input, tensor.name);
    return tensor.name;
  }

  /** Nodes that take a value, bodies included. `maker`: the node that makes it; if that is in a body, nodes of the same body only. */
  usesOf(value: string, maker?: NodeProto): readonly ValueUse[] {
    const body = maker && this.bodyOf(maker);
    const uses = this.index.usesOf(value);
    return body === undefined ? uses : uses.filter(({ node }) => this.bodyOf(node) === body);
  }

  /** The node of the main graph that makes a value; undefined for weights, inputs and values of bodies. */
  makerOf(value: string): NodeProto | undefined {
    return this.index.makerOf(value);
  }

  /** True if a value is an output of the main graph, or of the body of the node that makes it. */
  isOutput(value: string, maker?: NodeProto): boolean {
    return this.bodies.isOutput(value, (maker && this.bodyOf(maker)) ?? this.mainGraph);
  }

  /** The body that a node of the file is in; undefined for the main graph. */
  bodyOf(node: NodeProto): GraphProto | undefined {
    return this.bodies.bodyOf(node);
  }

  /** Raw little-endian bytes of a weight of the file. */
  async read(name: string): Promise<Uint8Array> {
    return this.weightFiles.read(this.tensorOf(name));
  }

  /** The same in pieces of at most 8 MiB. */
  pieces(name: string): AsyncIterable<Uint8Array> {
    return this.weightFiles.pieces(this.tensorOf(name));
  }

  /** Adds an initialiser under an unused name, or one returned by `uniqueName`. Throws `invalid-argument` if the name is taken. */
  addInitializer(name: string, weight: NewWeight): void {
    if (this.names.isTaken(name))
      throw new LoomweightError('invalid-argument', `The model already has a value named '${name}'.`, { value: name });
    const tensor = this.newTensor(name, weight);
    this.names.add(name);
    this.modernize();
    this.index.addInitializer(tensor);
  }

  /** Replaces the values (with any type and shape) of an initialiser, of a Constant node's output, or of a weight of a body, which is hoisted. */
  replaceInitializer(name: string, weight: NewWeight): void {
    const tensor = this.newTensor(this.hoistWeight(name), weight);
    this.modernize();
    if (!this.index.replaceWeight(tensor.name, tensor)) throw this.noWeight(name);
  }

  /** Turns a weight into an input of the main graph, to be fed or put back with `fillInput`. */
  emptyWeight(given: string): void {
    const name = this.hoistWeight(given);
    const { dtype, shape } = this.weightFiles.describe(this.tensorOf(name));
    this.modernize();
    this.index.removeWeight(name);
    // An input declares its type itself; a second declaration of the same name would only repeat it.
    this.index.removeValue(name);
    const type = encodeTypeProto({ dtype, shape });
    this.index.addInput(create(ValueInfoProtoSchema, type === undefined ? { name } : { name, type }));
  }

  /** Turns an input into a weight: the inverse of `emptyWeight`. Throws `not-found` if there is no such input. */
  fillInput(name: string, weight: NewWeight): void {
    if (!this.index.hasInput(name)) throw this.noWeight(name);
    this.index.removeInput(name);
    this.index.addInitializer(this.newTensor(name, weight));
  }

  /** Removes initialisers and Constant nodes that are no longer used; returns their names. */
  removeUnusedWeights(): readonly string[] {
    const outputs = new Set<string>();
    eachGraph(this.model, (graph) => graph.output.forEach((value) => outputs.add(value.name)));
    const removed = [...this.index.weightNames()].filter((name) => !this.index.isUsed(name) && !outputs.has(name));
    for (const name of removed) {
      this.index.removeWeight(name);
      this.index.removeValue(name);
    }
    return removed;
  }

  /** Inserts nodes before a node of the main graph (consumers of their outputs must come later). */
  insertBefore(node: NodeProto, nodes: readonly NewNode[]): readonly NodeProto[] {
    if (!this.index.hasNode(node))
      throw new LoomweightError('invalid-argument', `Node '${node.name}' is not in the main graph.`, { node: node.name });
    return this.insert(node, nodes);
  }

  /** Inserts nodes before all others of the main graph. */
  insertFirst(nodes: readonly NewNode[]): readonly NodeProto[] {
    return this.insert(undefined, nodes);
  }

  /** Replaces a node of the main graph by other nodes. */
  replaceNode(node: NodeProto, nodes: readonly NewNode[]): readonly NodeProto[] {
    const made = this.insertBefore(node, nodes);
    this.index.removeNode(node);
    return made;
  }

  /** Removes a node of the main graph. */
  removeNode(node: NodeProto): void {
    this.index.removeNode(node);
  }

  /** Makes a node consume another value. */
  replaceInput(node: NodeProto, input: number, name: string): void {
    this.index.replaceInput(node, input, name);
  }

  /** A name that no value or node has, derived from a base name; it counts as taken from now on. */
  uniqueName(stem: string): string {
    return this.names.next(stem);
  }

  /** Declares an operator domain (`com.microsoft`) if the model does not have it yet. */
  requireDomain(domain: string, version = 1): void {
    if (!this.model.opsetImport.some((entry) => entry.domain === domain))
      this.model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain, version: BigInt(version) }));
  }

  /** Upgrades the standard operators to at least this opset; see `raiseOpset`. */
  raiseOpset(version: number): void {
    if (this.opset >= version) return;
    // This changes inputs of nodes and adds initialisers: getting the graph makes the editor scan it again.
    void this.graph;
    raiseOpset(this.model, version, (stem) => this.uniqueName(stem));
  }

  /**
   * Writes the model, synced; the caller renames the folder into place. External data is copied into `<path>_data`. Never overwrites the source.
   */
  async write(path: string, options: WriteEditedOptions = {}): Promise<WrittenModel> {
    const target = resolve(path);
    if (target === this.path)
      throw new LoomweightError('invalid-argument', `A model is never modified in place: ${target}. Choose another output.`, {
        path: target,
      });
    const policy = options.externalData ?? 'auto';
    this.knownIndex?.store();
    const filler = new TensorFiller(this.weightFiles, this.streamed);
    const total = filler.totalBytes(this.model);
    const moves = policy === 'always' || (policy === 'auto' && total > autoLimit);
    if (!moves && total >= largestMessage) throw tooLargeForOneFile('this model has weights', total);
    const writer = moves ? await ExternalDataWriter.create(target) : undefined;
    const restore: (() => void)[] = [];
    try {
      const tensors: TensorProto[] = [];
      eachTensor(this.model, (tensor) => tensors.push(tensor));
      for (const tensor of tensors) restore.push(await filler.fill(tensor, writer));
      const bytes = toBinary(ModelProtoSchema, this.model);
      const file = await open(target, 'w');
      try {
        await writeAll(file, bytes, 0);
        await file.sync();
      } finally {
        await file.close();
      }
      await writer?.close();
      const data = writer === undefined ? [] : [{ path: writer.path, bytes: writer.bytes }];
      return { files: [{ path: target, bytes: bytes.byteLength }, ...data] };
    } catch (error) {
      await writer?.abandon();
      throw toLoomweightError(error);
    } finally {
      for (const undo of restore) undo();
    }
  }

  /** Closes the files from which weights were read. */
  close(): Promise<void> {
    return this.weightFiles.close();
  }

  /** Before IR version 4, every initialiser had to be an input as well; a new one would then have to be fed. */
  private modernize(): void {
    if (this.model.irVersion >= 4n) return;
    const { graph } = this;
    const weights = new Set(graph.initializer.map((tensor) => tensor.name));
    graph.input = graph.input.filter((value) => !weights.has(value.name));
    this.model.irVersion = 4n;
  }

  private newTensor(name: string, weight: NewWeight): TensorProto {
    const tensor = newTensorMessage(name, weight);
    if (!('bytes' in weight)) this.streamed.set(tensor, weight);
    return tensor;
  }

  private newNode(node: NewNode): NodeProto {
    if (node.domain !== undefined && node.domain !== '') this.requireDomain(node.domain);
    for (const name of node.outputs) this.names.add(name);
    return newNodeMessage(node, this.uniqueName(node.name ?? node.outputs[0] ?? node.op));
  }

  private insert(before: NodeProto | undefined, nodes: readonly NewNode[]): readonly NodeProto[] {
    const made = nodes.map((item) => this.newNode(item));
    this.index.insertNodes(before, made);
    return made;
  }

  private get index(): ModelIndex {
    return (this.knownIndex ??= new ModelIndex(this.model, this.mainGraph));
  }

  private get bodies(): BodyIndex {
    return (this.knownBodies ??= new BodyIndex(this.mainGraph));
  }

  private weightNamed(name: string): EditableWeight | undefined {
    const tensor = this.index.tensorNamed(name);
    if (tensor === undefined) return undefined;
    const isOutput = this.bodies.isOutput(name, this.mainGraph);
    return { name, ...this.weightFiles.describe(tensor), uses: this.index.usesOf(name), isOutput };
  }

  private tensorOf(name: string): TensorProto {
    const tensor = this.index.tensorNamed(name) ?? this.bodies.weights.get(name)?.tensor;
    if (tensor === undefined) throw this.noWeight(name);
    return tensor;
  }

  private noWeight(name: string): LoomweightError {
    return new LoomweightError('not-found', `${this.path} has no weight '${name}'.`, { tensor: name, path: this.path });
  }
}
