import type { DType } from '../../protocol/dtypes';
import type { Diagnostic, GraphSummary, ModelFormat } from '../../protocol/model';

/** Position of a tensor's bytes. `offset` counts from the start of the file. */
export interface ByteLocation {
  /** Absolute path. */
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

/** One tensor of an opened model: everything except its values. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Undefined for values that are not stored as raw bytes (ONNX strings and typed repeated fields): use `read` for them. */
  readonly location: ByteLocation | undefined;
  readonly bytes: number;
  /** Type in the file, if the container presents another type (block types of GGUF as float32). */
  readonly storedDType?: DType;
  /** Size in the file, if values are unpacked as they are read (archives). */
  readonly storedBytes?: number;
}

/** A checkpoint whose tensors are codes of a quantisation method, which mean something only together with their scales. */
export interface QuantizedCheckpoint {
  /** The method as people know it, with what is known of its settings: `gptq (4 bits, groups of 128)`. */
  readonly method: string;
  /** Where this is stated: an entry of config.json, or a tensor. */
  readonly evidence: string;
}

/**
 * An opened model: its tensors by name, and access to their values. Opening reads headers only; weights are read on demand, by range, never
 * the whole file. A single owner closes it.
 */
export interface TensorContainer {
  readonly format: ModelFormat;
  /** Absolute path that was opened. */
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly diagnostics: readonly Diagnostic[];
  readonly graph?: GraphSummary;
  /** Only for Hugging Face folders (and views that present one): config.json as written, in either style. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Absolute paths of the model's files other than its weights: tokenizer.json, generation_config.json, ... */
  readonly companions?: readonly string[];
  /** Files of the model that are derived from other data (tokenizer.json of a GGUF file): file name to text. */
  readonly generatedCompanions?: ReadonlyMap<string, string>;
  /** Set where the tensors are codes and scales of a quantisation method: they can be looked at, not used as weights. */
  readonly quantized?: QuantizedCheckpoint;
  /** Absolute paths of the files that hold weights and graph, in order; without, see `dataFiles`. */
  readonly weightFiles?: readonly string[];
  /** Raw bytes of a tensor, little-endian as on disk; `range` in bytes relative to the tensor's start. */
  read(name: string, range?: { readonly offset: number; readonly length: number }): Promise<Uint8Array>;
  /**
   * Fills `target` with a tensor's bytes from `offset` on: like `read`, without allocating. Only for containers whose tensors are raw bytes
   * in files.
   */
  readInto?(name: string, offset: number, target: Uint8Array): Promise<void>;
  close(): Promise<void>;
}
