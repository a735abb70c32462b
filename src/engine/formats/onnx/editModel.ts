import { create, toBinary } from '@bufbuild/protobuf';
import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { byteLength, type DType } from '../../../protocol/dtypes';
import { LoomweightError, toLoomweightError } from '../../../protocol/errors';
import type { NewNode, NewWeight, WriteEditedOptions } from './edits';
import { encodeAttribute, encodeTensor, largestMessage } from './encodeModel';
import { ExternalDataWriter, writeAll } from './externalDataWriter';
import {
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  ValueInfoProtoSchema,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from './generated/onnx';
import { OnnxWeights } from './tensorReader';
import { raiseOpset } from './raiseOpset';
import { TensorFiller } from './tensorFiller';
import { constantTensor } from './tensorMessages';
import { encodeTypeProto } from './typeProto';
import { eachGraph, eachNode, eachTensor } from './walk';
import { FileWindow } from './wire/fileWindow';
import { readSkeleton } from './wire/skeleton';
import type { WrittenModel } from './writeOnnxModel';
import { missingGraph, tooLargeForOneFile } from './refusals';

/** A weight of a model that is being edited: an initialiser of the main graph, or the output of one of its Constant nodes. */
export interface EditableWeight {
  /** Name of the value that nodes consume. */
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Nodes that consume it, with the input index; including nodes in bodies. */
  readonly uses: readonly { readonly node: NodeProto; readonly input: number }[];
}

const autoLimit = 2 ** 30;

/** Opens an ONNX file for editing. Weights stay on disk until they are read or written. */
export function editModel(path: string): Promise<OnnxEditor> {
  return OnnxEditor.open(path);
}

/**
 * An ONNX file being edited: the original messages, with weights left on disk. Everything else is written unchanged: metadata, doc strings,
 * functions, unknown fields. Typical use:
 *
 *   const editor = await editModel('model.onnx');
 *   const weight = editor.weights().get('fc.weight');          // its dtype, shape, uses
 *   const bytes = await editor.read('fc.weight');
 *   editor.raiseOpset(21);
 *   editor.addInitializer('fc.codes', { dtype: 'uint4', shape, bytes: packed });
 *   const y = editor.uniqueName('fc.weight_dequantized');
 *   editor.insertBefore(weight.uses[0].node, [{ op: 'DequantizeLinear', inputs: [...], outputs: [y] }]);
 *   editor.replaceInput(weight.uses[0].node, weight.uses[0].input, y);
 *   editor.removeUnusedWeights();
 *   await editor.write('out/model.onnx');
 *   await editor.close();
 *
 * `model` and `graph` are the generated messages and may also be edited directly.
 */
export class OnnxEditor {
  private readonly names = new Set<string>();
  /** Names returned by `uniqueName` and not used yet. */
  private readonly reserved = new Set<string>();
  /** Last suffix of each base name, so that many values with one base name are fast. */
  private readonly suffixes = new Map<string, number>();
  private readonly streamed = new Map<TensorProto, NewWeight>();

  private constructor(
    readonly path: string,
    readonly model: ModelProto,
    readonly graph: GraphProto,
    private readonly weightFiles: OnnxWeights,
  ) {
    eachGraph(model, (item) => {
      for (const value of [...item.input, ...item.output, ...item.valueInfo]) this.names.add(value.name);
      for (const tensor of item.initializer) this.names.add(tensor.name);
    });
    eachNode(model, (node) => [node.name, ...node.input, ...node.output].forEach((name) => this.names.add(name)));
  }

  static async open(path: string): Promise<OnnxEditor> {
    const absolute = resolve(path);
    const { model, weights } = FileWindow.use(absolute, readSkeleton);
    if (model.graph === undefined) throw missingGraph(absolute);
    return new OnnxEditor(absolute, model, model.graph, new OnnxWeights(absolute, weights));
  }

  /** Opset of the standard domain. */
  get opset(): number {
    return Number(this.model.opsetImport.find((entry) => entry.domain === '' || entry.domain === 'ai.onnx')?.version ?? 1n);
  }

  /** Weights by value name, in the current state of the model. Tensors of unknown type or impossible shape throw `malformed-file`. */
  weights(): ReadonlyMap<string, EditableWeight> {
    const result = new Map<string, EditableWeight>();
    const uses = this.usesByName();
    const add = (name: string, tensor: TensorProto) =>
      result.set(name, { name, ...this.weightFiles.describe(tensor), uses: uses.get(name) ?? [] });
    for (const tensor of this.graph.initializer) add(tensor.name, tensor);
    for (const node of this.graph.node) {
      const tensor = constantTensor(node);
      if (tensor !== undefined && node.output[0] !== undefined) add(node.output[0], tensor);
    }
    return result;
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
    if (this.names.has(name) && !this.reserved.delete(name))
      throw new LoomweightError('invalid-argument', `The model already has a value named '${name}'.`, { value: name });
    const tensor = this.newTensor(name, weight);
    this.names.add(name);
    this.modernize();
    this.graph.initializer.push(tensor);
  }

  /** Replaces the values (with any type and shape) of an initialiser or of a Constant node's output. */
  replaceInitializer(name: string, weight: NewWeight): void {
    const tensor = this.newTensor(name, weight);
    this.modernize();
    const index = this.graph.initializer.findIndex((item) => item.name === name);
    if (index >= 0) {
      this.graph.initializer[index] = tensor;
    } else {
      const node = this.graph.node.findIndex((item) => item.output[0] === name && constantTensor(item) !== undefined);
      if (node < 0) throw this.noWeight(name);
      this.graph.node.splice(node, 1);
      this.graph.initializer.push(tensor);
    }
    // An input of the same name would let a caller override the weight; value_info may declare the old type.
    this.graph.input = this.graph.input.filter((value) => value.name !== name);
    this.graph.valueInfo = this.graph.valueInfo.filter((value) => value.name !== name);
  }

  /** Turns a weight into an input: its values are then stored elsewhere and fed, or put back with `fillInput`. */
  emptyWeight(name: string): void {
    const { dtype, shape } = this.weightFiles.describe(this.tensorOf(name));
    this.modernize();
    this.graph.initializer = this.graph.initializer.filter((item) => item.name !== name);
    this.graph.node = this.graph.node.filter((item) => item.output[0] !== name || constantTensor(item) === undefined);
    // An input declares its type itself; a second declaration of the same name would only repeat it.
    this.graph.valueInfo = this.graph.valueInfo.filter((value) => value.name !== name);
    const type = encodeTypeProto({ dtype, shape });
    this.graph.input.push(create(ValueInfoProtoSchema, type === undefined ? { name } : { name, type }));
  }

  /** Turns an input into a weight: the inverse of `emptyWeight`. Throws `not-found` if there is no such input. */
  fillInput(name: string, weight: NewWeight): void {
    if (!this.graph.input.some((value) => value.name === name)) throw this.noWeight(name);
    this.graph.input = this.graph.input.filter((value) => value.name !== name);
    this.graph.initializer.push(this.newTensor(name, weight));
  }

  /** Removes initialisers and Constant nodes that are no longer used; returns their names. */
  removeUnusedWeights(): readonly string[] {
    const uses = this.usesByName();
    const outputs = new Set<string>();
    eachGraph(this.model, (graph) => graph.output.forEach((value) => outputs.add(value.name)));
    const removed: string[] = [];
    const isUnused = (name: string) => !uses.has(name) && !outputs.has(name);
    this.graph.initializer = this.graph.initializer.filter((tensor) => !isUnused(tensor.name) || (removed.push(tensor.name), false));
    this.graph.node = this.graph.node.filter((node) => {
      const name = node.output[0];
      return constantTensor(node) === undefined || name === undefined || !isUnused(name) || (removed.push(name), false);
    });
    const gone = new Set(removed);
    this.graph.input = this.graph.input.filter((value) => !gone.has(value.name));
    this.graph.valueInfo = this.graph.valueInfo.filter((value) => !gone.has(value.name));
    return removed;
  }

  /** Inserts nodes before a node of the main graph (consumers of their outputs must come later). */
  insertBefore(node: NodeProto, nodes: readonly NewNode[]): readonly NodeProto[] {
    const index = this.graph.node.indexOf(node);
    if (index < 0) throw new LoomweightError('invalid-argument', `Node '${node.name}' is not in the main graph.`, { node: node.name });
    const made = nodes.map((item) => this.newNode(item));
    this.graph.node.splice(index, 0, ...made);
    return made;
  }

  /** Replaces a node of the main graph by other nodes. */
  replaceNode(node: NodeProto, nodes: readonly NewNode[]): readonly NodeProto[] {
    const made = this.insertBefore(node, nodes);
    this.graph.node.splice(this.graph.node.indexOf(node), 1);
    return made;
  }

  /** Makes a node consume another value. */
  replaceInput(node: NodeProto, input: number, name: string): void {
    node.input[input] = name;
  }

  /** A name that no value or node has, derived from a base name; it counts as taken from now on. */
  uniqueName(stem: string): string {
    let suffix = this.suffixes.get(stem) ?? 0;
    let name = suffix === 0 ? stem : `${stem}_${suffix}`;
    while (this.names.has(name)) {
      suffix += 1;
      name = `${stem}_${suffix}`;
    }
    this.suffixes.set(stem, suffix);
    this.names.add(name);
    this.reserved.add(name);
    return name;
  }

  /** Declares an operator domain (`com.microsoft`) if the model does not have it yet. */
  requireDomain(domain: string, version = 1): void {
    if (!this.model.opsetImport.some((entry) => entry.domain === domain))
      this.model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain, version: BigInt(version) }));
  }

  /** Upgrades the standard operators to at least this opset; see `raiseOpset`. */
  raiseOpset(version: number): void {
    raiseOpset(this.model, version, (stem) => this.uniqueName(stem));
  }

  /**
   * Writes the model, synced; the caller renames the folder into place. External data of the source is copied into `<path>_data` next to
   * the new file. Never overwrites the source.
   */
  async write(path: string, options: WriteEditedOptions = {}): Promise<WrittenModel> {
    const target = resolve(path);
    if (target === this.path)
      throw new LoomweightError('invalid-argument', `A model is never modified in place: ${target}. Choose another output.`, {
        path: target,
      });
    const policy = options.externalData ?? 'auto';
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
    const weights = new Set(this.graph.initializer.map((tensor) => tensor.name));
    this.graph.input = this.graph.input.filter((value) => !weights.has(value.name));
    this.model.irVersion = 4n;
  }

  private newTensor(name: string, weight: NewWeight): TensorProto {
    const { dtype, shape } = weight;
    if ('bytes' in weight && dtype !== 'string' && weight.bytes.byteLength !== byteLength(dtype, shape))
      throw new LoomweightError(
        'invalid-argument',
        `Weight '${name}', ${dtype}[${shape.join(', ')}], needs ${byteLength(dtype, shape)} bytes, got ${weight.bytes.byteLength}.`,
        { tensor: name },
      );
    if ('bytes' in weight) return encodeTensor({ kind: 'inline', dtype, shape, bytes: weight.bytes }, name);
    const tensor = encodeTensor({ kind: 'inline', dtype, shape, bytes: new Uint8Array(0) }, name);
    this.streamed.set(tensor, weight);
    return tensor;
  }

  private newNode(node: NewNode): NodeProto {
    if (node.domain !== undefined && node.domain !== '') this.requireDomain(node.domain);
    for (const name of node.outputs) this.names.add(name);
    return create(NodeProtoSchema, {
      opType: node.op,
      name: this.uniqueName(node.name ?? node.outputs[0] ?? node.op),
      ...(node.domain === undefined || node.domain === '' ? {} : { domain: node.domain }),
      input: [...node.inputs],
      output: [...node.outputs],
      attribute: Object.entries(node.attributes ?? {}).map(([name, attribute]) => encodeAttribute(name, attribute)),
    });
  }

  private usesByName(): Map<string, { node: NodeProto; input: number }[]> {
    const uses = new Map<string, { node: NodeProto; input: number }[]>();
    const note = (node: NodeProto) =>
      node.input.forEach((name, input) => {
        const list = uses.get(name);
        if (list === undefined) uses.set(name, [{ node, input }]);
        else list.push({ node, input });
      });
    eachGraph(this.model, (graph) => graph.node.forEach(note));
    return uses;
  }

  private tensorOf(name: string): TensorProto {
    const initializer = this.graph.initializer.find((tensor) => tensor.name === name);
    if (initializer !== undefined) return initializer;
    const node = this.graph.node.find((item) => item.output[0] === name);
    const tensor = node === undefined ? undefined : constantTensor(node);
    if (tensor === undefined) throw this.noWeight(name);
    return tensor;
  }

  private noWeight(name: string): LoomweightError {
    return new LoomweightError('not-found', `${this.path} has no weight '${name}'.`, { tensor: name, path: this.path });
  }
}
