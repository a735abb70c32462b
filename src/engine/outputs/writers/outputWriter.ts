import type { OutputFormat } from '../../../protocol/jobs';
import type { LayerLayout } from '../../../protocol/report';
import type { ModelSource } from '../../models/modelSource';
import type { PlannedEntry, PlannedLayer, PlannedStore } from '../planned/plannedStore';
import type { PlannedTensor } from '../planned/plannedTensor';

/** Layers by name, in the order of the model. */
export type PlannedLayers = ReadonlyMap<string, PlannedLayer>;

/** What a writer is given. It asks the store for one tensor after the other and keeps none. */
export interface WriteJob {
  readonly source: ModelSource;
  /** Compressed tensors and plain values that replace the source's; everything else is written as in the source. */
  readonly planned: PlannedStore;
  /** The temporary output folder. */
  readonly folder: string;
  readonly signal: AbortSignal | undefined;
  /** Tells how many bytes a compressed tensor takes in the file, once its pieces are stored. */
  stored(name: string, bytes: number): void;
  /** A sentence for the report. */
  note(text: string): void;
}

/** A finished output opened for reading: the inverse of its writer. */
export interface OutputReader {
  /** Fingerprint of a compressed tensor as stored in the file; comparable with `WrittenOutput.expected`. */
  fingerprint(name: string): Promise<string>;
  /** Weights of a compressed tensor: float32 [rows * columns] in the order in which it was planned. */
  weights(name: string, target?: Float32Array): Promise<Float32Array>;
  /** Bytes of a tensor that is stored as values; undefined if the output lacks it. */
  bytesOf(name: string): number | undefined;
  read(name: string, range: { readonly offset: number; readonly length: number }): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** What was written, and how it is read back. */
export interface WrittenOutput {
  /** Path of the main file relative to the output folder; `.` for a Hugging Face directory. */
  readonly primary: string;
  /** Bytes of the weights once loaded, where that differs from the file. */
  readonly loadedBytes?: number;
  /** True if the output runs with rounded activations at the runtime's default settings. */
  readonly integerActivations: boolean;
  /** True if dequantised weights were rounded to the types of the source. */
  readonly roundedToSource?: boolean;
  /** How each compressed tensor is stored, for the report. */
  readonly layouts: ReadonlyMap<string, LayerLayout>;
  /** Names of tensors that the output holds as values: the source's own, or plain ones of the store. */
  readonly values: readonly string[];
  /** Formats that no runtime opens: writes the ONNX model that the output represents to a path. */
  unpackTo?(path: string): Promise<void>;
  /** The fingerprint that a planned tensor must have in this output. */
  expected(tensor: PlannedTensor, entry: PlannedEntry): string;
  /** Opens the finished output. */
  open(): Promise<OutputReader>;
}

/** A format whose kernels have few widths: learned tensors are rounded again to one of them before they are written. */
export interface RoundsLearned {
  readonly widths: readonly number[];
  /** Weights under one scale. */
  readonly groupSize: number;
  /** False for layers that no kernel takes: they are written as float values. */
  fits(layer: Omit<PlannedLayer, 'layout' | 'size'>, source: ModelSource): boolean;
}

/** One output format. To add one: a file like onnxFast.ts and a line in index.ts. */
export interface OutputWriter {
  readonly id: OutputFormat;
  readonly label: string;
  readonly summary: string;
  /** True if weights are written dequantised: bits per weight are then those of the plan, not of the file. */
  readonly dequantised?: boolean;
  /** True if the output runs with the kernels of the float model, so that its time says nothing. */
  readonly runsAsFloat?: boolean;
  /** Most memory that comparing the output of an ONNX model with its source takes, divided by the weights in float32 (measured: docs/benchmarks.md). The runtime needs it to load the output. */
  readonly comparing: number;
  /** True if every tensor keeps the type that it has in the source. */
  readonly keepsTypes?: boolean;
  /**
   * Throws `unsupported` or `invalid-argument` before anything is read where the format cannot hold the model with these layers compressed. `trained`:
   * training made the values, and which layers there will be may not be known yet.
   */
  check(source: ModelSource, layers: PlannedLayers, options?: { readonly trained?: boolean }): void;
  /** Undefined, or why the format cannot hold the layer: the end of a sentence. */
  refuses(layer: PlannedLayer): string | undefined;
  /** Bits of a layer as the format stores it, padding included. `groupBits`: widths of its groups, where they differ. */
  storedBits(layer: PlannedLayer, groupBits?: Uint8Array): number;
  /** False if all groups of a tensor have one width. */
  readonly mixesWidths: boolean;
  readonly roundsLearned?: RoundsLearned;
  write(job: WriteJob): Promise<WrittenOutput>;
  /** Bytes of the output, and of memory beyond one tensor, from headers alone. */
  estimate(source: ModelSource, layers: PlannedLayers): { readonly bytes: number; readonly extraMemory: number };
}
