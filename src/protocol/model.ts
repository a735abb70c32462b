import type { DType } from './dtypes';

/** Kind of files that contain a model. `hugging-face` is a directory with config.json and weights; `archive` is Loomweight's own. */
export type ModelFormat = 'safetensors' | 'onnx' | 'gguf' | 'npy' | 'archive' | 'hugging-face';

/** Formats as people write them. */
export const modelFormatNames: Readonly<Record<ModelFormat, string>> = {
  safetensors: 'safetensors',
  onnx: 'ONNX',
  gguf: 'GGUF',
  npy: 'NumPy',
  archive: 'Loomweight archive',
  'hugging-face': 'Hugging Face',
};

/** A problem found while reading; the rest of the model stays usable unless severity is `error`. */
export interface Diagnostic {
  readonly severity: 'error' | 'warning' | 'info';
  /** A stable kebab-case word, for example `overlapping-offsets`. */
  readonly code: string;
  readonly message: string;
  readonly file: string;
  /** Byte offset in the file, where known. */
  readonly offset?: number;
  /** Tensor or node, where known. */
  readonly subject?: string;
}

/** What a tensor does in its model. `other` where the architecture is unknown. */
export type TensorRole =
  | 'query'
  | 'key'
  | 'value'
  | 'attention-output'
  | 'gate'
  | 'up'
  | 'down'
  | 'norm'
  | 'bias'
  | 'embedding'
  | 'head'
  | 'linear'
  | 'convolution'
  | 'other';

/** One tensor, without its values. */
export interface TensorSummary {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly role: TensorRole;
  /** Name of the block or module that the tree shows it under, for example `model.layers.0`. */
  readonly block: string;
  /** File with the bytes, relative to the model. Empty if they are in the model file itself. */
  readonly file: string;
}

/** A whole model as `inspect` and the tree show it. */
export interface ModelSummary {
  readonly path: string;
  readonly name: string;
  readonly format: ModelFormat;
  /** `LlamaForCausalLM`, a GGUF architecture, the ONNX producer's graph name, or `unknown`. */
  readonly architecture: string;
  /** Sum of elements over all tensors, a tied one once; of a compressed output, the parameters of the model it was made from. */
  readonly parameters: number;
  /** Bytes of the weights on disk. */
  readonly bytes: number;
  readonly tensors: readonly TensorSummary[];
  readonly diagnostics: readonly Diagnostic[];
  /** Configuration or metadata worth showing, as text: key to value. */
  readonly metadata: Readonly<Record<string, string>>;
  /** ONNX only: inputs, outputs and operators of the graph. */
  readonly graph?: GraphSummary;
  /** Set where the directory is an output of Loomweight: method and bits of its report. */
  readonly compressed?: { readonly method: string; readonly bitsPerWeight: number };
}

/** An ONNX graph in numbers. */
export interface GraphSummary {
  readonly opset: Readonly<Record<string, number>>;
  readonly inputs: readonly { readonly name: string; readonly dtype: string; readonly shape: readonly (number | string)[] }[];
  readonly outputs: readonly { readonly name: string; readonly dtype: string; readonly shape: readonly (number | string)[] }[];
  /** Operator type to number of nodes. */
  readonly operators: Readonly<Record<string, number>>;
  readonly nodes: number;
}

/** Statistics of one tensor's values. Non-finite values are counted and left out of everything else. */
export interface TensorStatistics {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly count: number;
  readonly minimum: number;
  readonly maximum: number;
  readonly mean: number;
  /** Population standard deviation. */
  readonly standardDeviation: number;
  readonly zeros: number;
  readonly notFinite: number;
  readonly histogram: Histogram;
}

/** Equal bins from `minimum` to `maximum`; the last one includes its upper end. */
export interface Histogram {
  readonly minimum: number;
  readonly maximum: number;
  readonly counts: readonly number[];
}

/** A rectangle of a tensor seen as a matrix (leading axes folded into rows), reduced to at most the asked size. */
export interface TensorPicture {
  readonly rows: number;
  readonly columns: number;
  /** Rectangle shown, in elements. */
  readonly region: { readonly row: number; readonly column: number; readonly rows: number; readonly columns: number };
  readonly width: number;
  readonly height: number;
  /** Values at the ends of the colour scale: level 1 is `low`, level 255 is `high`; level 0 marks non-finite cells. */
  readonly low: number;
  readonly high: number;
  /** `width * height` levels, row-major; each cell is the value of largest magnitude among the elements it covers. */
  readonly levels: Uint8Array;
}
