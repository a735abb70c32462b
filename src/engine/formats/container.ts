import type { DType } from '../../protocol/dtypes';
import type { Diagnostic, GraphSummary, ModelFormat } from '../../protocol/model';

/** Where a tensor's bytes lie. `offset` counts from the start of the file. */
export interface ByteLocation {
  /** Absolute path. */
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

/** One tensor of an opened model: everything but its values. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Undefined for values that are not stored as raw bytes (ONNX strings and typed repeated fields): read them with `read`. */
  readonly location: ByteLocation | undefined;
  readonly bytes: number;
  /** Type in the file, where the container shows values in another (block types of GGUF as float32). */
  readonly storedDType?: DType;
  /** Bytes in the file, where the container shows values that are unpacked as they are read (archives). */
  readonly storedBytes?: number;
}

/**
 * An opened model: its tensors by name and how to read them. Opening reads headers only; weights are read on demand,
 * by range, never the whole file. One owner closes it.
 */
export interface TensorContainer {
  readonly format: ModelFormat;
  /** Absolute path that was opened. */
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly diagnostics: readonly Diagnostic[];
  readonly graph?: GraphSummary;
  /** Hugging Face directories (and views that stand in for one): config.json as it was written, either style. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Absolute paths of the files that belong to the model beside its weights: tokenizer.json, generation_config.json, ... */
  readonly companions?: readonly string[];
  /** Files that belong to the model but are made from other data (tokenizer.json of a GGUF file): file name to text. */
  readonly generatedCompanions?: ReadonlyMap<string, string>;
  /** Absolute paths of the files that hold weights, in order. */
  readonly weightFiles?: readonly string[];
  /** Raw bytes of a tensor, little-endian as on disk; `range` in bytes relative to the tensor's start. */
  read(name: string, range?: { readonly offset: number; readonly length: number }): Promise<Uint8Array>;
  /**
   * Fills `target` with a tensor's bytes from `offset` on: what `read` gives, without memory of its own. Only containers whose tensors are
   * raw bytes in files have it.
   */
  readInto?(name: string, offset: number, target: Uint8Array): Promise<void>;
  close(): Promise<void>;
}
