import { fromBinary } from '@bufbuild/protobuf';
import { resolve } from 'node:path';
import { byteLength } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import type { Diagnostic, GraphSummary } from '../../../protocol/model';
import type { ByteLocation, TensorContainer, TensorEntry } from '../container';
import { locateRange } from '../fileContainer';
import { OpenFiles } from '../files/openFiles';
import { ExternalDataResolver } from './externalData';
import { ValueInfoProtoSchema } from './generated/onnx';
import { decodeTypeProto, typeWord } from './typeProto';
import { FileWindow } from './wire/fileWindow';
import { scanModel, type ScannedModel } from './wire/scanModel';
import type { ScannedTensor } from './wire/scanTensor';
import { decodeTypedFields } from './wire/typedFields';
import { WireReader, type WireField } from './wire/wireReader';
import { tensorNotFound } from '../malformed';
import { invalidOnnx } from './refusals';

/** Options for opening a model. */
export interface OpenOnnxOptions {
  /** For untrusted workspaces: external data is listed, but no file next to the model is accessed. */
  readonly limited?: boolean;
}

/** A larger value info is not decoded: real ones take a few hundred bytes. */
const largestValueInfo = 1 << 20;

/**
 * Opens an ONNX file: names, shapes and positions of its tensors, and a summary of the graph, read from the wire format without loading
 * weights. Listed are initialisers of the main graph under their names; tensors of bodies, functions and training graphs under the path
 * that leads to them; tensors of nodes (Constant) unless they are scalars or short lists. Throws `malformed-file` with the byte offset if
 * the protobuf is broken; a single bad tensor is a diagnostic and unreadable.
 */
export async function openOnnx(path: string, options: OpenOnnxOptions = {}): Promise<TensorContainer> {
  const absolute = resolve(path);
  const { scanned, graph } = FileWindow.use(absolute, (window) => {
    const reader = new WireReader(window);
    const model = scanModel(reader);
    return { scanned: model, graph: summarize(reader, model) };
  });
  return OnnxContainer.create(absolute, scanned, graph, options.limited === true);
}

function summarize(reader: WireReader, scanned: ScannedModel): GraphSummary {
  const initialisers = new Set(scanned.tensors.map((tensor) => tensor.name));
  const values = (fields: readonly WireField[]) =>
    fields.flatMap((field) => {
      if (field.end - field.start > largestValueInfo) return [];
      try {
        const info = fromBinary(ValueInfoProtoSchema, reader.window.bytesAt(field.start, field.end - field.start));
        return [{ name: info.name, dtype: typeWord(info.type), shape: decodeTypeProto(info.type, info.name).shape ?? [] }];
      } catch (error) {
        throw invalidOnnx(reader.window.path, 'unreadable type of an input or output', { offset: field.start, cause: error });
      }
    });
  return {
    opset: scanned.opsets,
    // Before IR version 4, every initialiser is also listed as an input, although it is not fed.
    inputs: values(scanned.inputs).filter((input) => !initialisers.has(input.name)),
    outputs: values(scanned.outputs),
    operators: scanned.operators,
    nodes: scanned.nodes,
  };
}

class OnnxContainer implements TensorContainer {
  readonly format = 'onnx' as const;
  private readonly files = new OpenFiles();
  private lastTyped: { readonly name: string; readonly bytes: Promise<Uint8Array> } | undefined;

  private constructor(
    readonly path: string,
    readonly tensors: ReadonlyMap<string, TensorEntry>,
    readonly metadata: Readonly<Record<string, string>>,
    readonly diagnostics: readonly Diagnostic[],
    readonly graph: GraphSummary,
    private readonly scanned: ReadonlyMap<string, ScannedTensor>,
    private readonly problems: ReadonlyMap<string, string>,
    private readonly limited: boolean,
  ) {}

  static async create(path: string, model: ScannedModel, graph: GraphSummary, limited: boolean): Promise<OnnxContainer> {
    const diagnostics: Diagnostic[] = [...model.diagnostics];
    const tensors = new Map<string, TensorEntry>();
    const scanned = new Map<string, ScannedTensor>();
    const problems = new Map<string, string>();
    const resolver = new ExternalDataResolver(path);
    const report = (code: string, severity: Diagnostic['severity'], message: string, tensor: ScannedTensor) => {
      if (diagnostics.length < 400) diagnostics.push({ severity, code, message, file: path, offset: tensor.start, subject: tensor.name });
    };
    // For a name shared by many tensors, continue counting from the last suffix: one million equal names stay fast.
    const copies = new Map<string, number>();
    for (const tensor of model.tensors) {
      let name = tensor.name === '' ? 'unnamed' : tensor.name;
      if (scanned.has(name)) {
        report('duplicate-name', 'error', `Two tensors are named '${tensor.name}'.`, tensor);
        let copy = copies.get(name) ?? 1;
        do copy += 1;
        while (scanned.has(`${name}#${copy}`));
        copies.set(name, copy);
        name = `${name}#${copy}`;
      }
      scanned.set(name, tensor);
      const { dtype, shape } = tensor;
      let location: ByteLocation | undefined;
      let problem = tensor.problem;
      if (dtype !== undefined && tensor.storage.kind === 'raw') {
        location = { file: path, offset: tensor.storage.offset, length: tensor.storage.length };
      } else if (dtype !== undefined && tensor.storage.kind === 'external') {
        if (limited) problem = 'its values are in another file, which is not opened in an untrusted workspace';
        else {
          const found = await resolver.resolve(tensor.storage, dtype, shape);
          if (found.ok) location = found.location;
          else {
            problem = found.problem;
            report(found.code, 'error', `Tensor '${tensor.name}': ${found.problem}`, tensor);
          }
        }
      }
      if (problem !== undefined) problems.set(name, problem);
      const bytes = dtype === undefined || dtype === 'string' ? tensor.payload : byteLength(dtype, shape);
      // Types of a later schema are shown as bytes of unknown meaning.
      tensors.set(name, { name, dtype: dtype ?? 'gguf_other', shape, location, bytes });
    }
    const metadata = {
      ...model.metadata,
      ...(model.producer === '' ? {} : { producer: model.producer }),
      ...(model.graphName === '' ? {} : { graph: model.graphName }),
      'IR version': String(model.irVersion),
      ...(model.functions === 0 ? {} : { functions: String(model.functions) }),
    };
    return new OnnxContainer(path, tensors, metadata, diagnostics, graph, scanned, problems, limited);
  }

  async read(name: string, range?: { readonly offset: number; readonly length: number }): Promise<Uint8Array> {
    const { entry, tensor } = this.readable(name);
    const wanted = range ?? { offset: 0, length: entry.location?.length ?? Infinity };
    if (entry.location !== undefined) {
      const { file, offset } = locateRange(this.path, this.tensors, name, wanted);
      return this.files.read(file, offset, wanted.length);
    }
    if (this.lastTyped?.name !== name) this.lastTyped = { name, bytes: this.decode(tensor) };
    const bytes = await this.lastTyped.bytes;
    return range === undefined ? bytes : bytes.subarray(range.offset, range.offset + range.length);
  }

  /** Values that are not raw bytes are decoded first. */
  async readInto(name: string, offset: number, target: Uint8Array): Promise<void> {
    if (this.readable(name).entry.location === undefined) {
      target.set(await this.read(name, { offset, length: target.length }));
      return;
    }
    const range = locateRange(this.path, this.tensors, name, { offset, length: target.length });
    if (target.length > 0) await this.files.readInto(range.file, range.offset, target);
  }

  async close(): Promise<void> {
    this.lastTyped = undefined;
    await this.files.close();
  }

  /** A tensor whose values can be read. */
  private readable(name: string): { readonly entry: TensorEntry; readonly tensor: ScannedTensor } {
    const entry = this.tensors.get(name);
    const tensor = this.scanned.get(name);
    if (entry === undefined || tensor === undefined) throw tensorNotFound(this.path, name);
    const problem = this.problems.get(name);
    if (problem !== undefined) {
      // Values that trust would make readable are not a fault of the file.
      const code = this.limited && tensor.problem === undefined ? 'unsupported' : 'malformed-file';
      throw new LoomweightError(code, `Tensor '${name}' cannot be read: ${problem.replace(/\.$/, '')}: ${this.path}.`, {
        tensor: name,
        path: this.path,
        offset: tensor.start,
      });
    }
    return { entry, tensor };
  }

  private async decode(tensor: ScannedTensor): Promise<Uint8Array> {
    const message = await this.files.read(this.path, tensor.start, tensor.end - tensor.start);
    const { name, shape, dtype } = tensor;
    return decodeTypedFields(message, { name, shape, dtype: dtype ?? 'uint8', file: this.path, offset: tensor.start });
  }
}
