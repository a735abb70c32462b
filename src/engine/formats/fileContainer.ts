import type { Diagnostic, ModelFormat } from '../../protocol/model';
import type { QuantizedCheckpoint, TensorContainer, TensorEntry } from './container';
import { OpenFiles } from './files/openFiles';
import { rangeOutsideTensor, tensorNotFound } from './malformed';

/** The result of reading a model's headers. */
export interface ContainerContents {
  readonly format: ModelFormat;
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly diagnostics: readonly Diagnostic[];
  readonly config?: Readonly<Record<string, unknown>>;
  readonly companions?: readonly string[];
  readonly quantized?: QuantizedCheckpoint;
  readonly weightFiles?: readonly string[];
}

/** A container whose tensors are all stored as raw bytes in files: safetensors, GGUF, .npy and folders of them. */
export class FileContainer implements TensorContainer {
  readonly format: ModelFormat;
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly diagnostics: readonly Diagnostic[];
  readonly config?: Readonly<Record<string, unknown>>;
  readonly companions?: readonly string[];
  readonly quantized?: QuantizedCheckpoint;
  readonly weightFiles?: readonly string[];
  private readonly files = new OpenFiles();

  constructor(contents: ContainerContents) {
    this.format = contents.format;
    this.path = contents.path;
    this.tensors = contents.tensors;
    this.metadata = contents.metadata;
    this.diagnostics = contents.diagnostics;
    if (contents.config) this.config = contents.config;
    if (contents.companions) this.companions = contents.companions;
    if (contents.quantized) this.quantized = contents.quantized;
    if (contents.weightFiles) this.weightFiles = contents.weightFiles;
  }

  /** Raw bytes in a separate buffer. Errors: `not-found` for an unknown name, `invalid-argument` for a range outside the tensor. */
  async read(name: string, range?: { readonly offset: number; readonly length: number }): Promise<Uint8Array> {
    const { offset, length, file } = locateRange(this.path, this.tensors, name, range);
    if (length === 0) return new Uint8Array(0);
    return this.files.read(file, offset, length);
  }

  async readInto(name: string, offset: number, target: Uint8Array): Promise<void> {
    const range = locateRange(this.path, this.tensors, name, { offset, length: target.length });
    if (target.length > 0) await this.files.readInto(range.file, range.offset, target);
  }

  close(): Promise<void> {
    return this.files.close();
  }
}

/** The file range of a tensor's bytes, checked against its length. */
export function locateRange(
  model: string,
  tensors: ReadonlyMap<string, TensorEntry>,
  name: string,
  range?: { readonly offset: number; readonly length: number },
): { readonly file: string; readonly offset: number; readonly length: number } {
  const location = tensors.get(name)?.location;
  if (!location) throw tensorNotFound(model, name);
  const { offset, length } = range ?? { offset: 0, length: location.length };
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0 || offset + length > location.length)
    throw rangeOutsideTensor(name, location.length, { offset, length });
  return { file: location.file, offset: location.offset + offset, length };
}
