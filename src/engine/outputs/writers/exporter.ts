import type { OutputFormat } from '../../../protocol/jobs';
import type { CompressPlan, TensorPlan } from '../../compress/plan';
import type { QuantizedMatrix, SizeEstimate } from '../../compress/quantizers/quantizer';
import type { CompressSource } from '../../models/modelSource';

/** What an exporter is given. It asks for one tensor after the other and keeps none. */
export interface ExportJob {
  readonly source: CompressSource;
  readonly plan: CompressPlan;
  /** The temporary output folder. */
  readonly folder: string;
  readonly signal: AbortSignal | undefined;
  /** Plans one tensor. */
  quantize(name: string): Promise<QuantizedMatrix>;
  /** Tells how many bytes a compressed tensor takes in the file, once its pieces are stored. */
  stored(name: string, bytes: number): void;
  /** A sentence for the report. */
  note(text: string): void;
}

/** How the finished output is read back. Written by the exporter, used by the verification. */
export interface ExportResult {
  /** Path of the main file relative to the output folder; `.` for a Hugging Face directory. */
  readonly primary: string;
  /** Bytes of the weights once loaded, where that differs from the file. */
  readonly loadedBytes?: number;
  /** True where the output runs with rounded activations at the runtime's default settings. */
  readonly integerActivations: boolean;
  /** True where dequantised weights were rounded to the types of the source. */
  readonly roundedToSource?: boolean;
  /** Formats that no runtime opens: writes the ONNX model that the output stands for to a path. */
  unpackTo?(path: string): Promise<void>;
  /** Dequantised weights of a compressed tensor, from the finished file: float32 in the order of the plan, [rows * columns]. */
  readWeights(name: string, target?: Float32Array): Promise<Float32Array>;
  /** Reads the finished files and counts tensors that are not what was planned or, untouched, not what the source holds. */
  verifyBytes(signal: AbortSignal | undefined): Promise<{ readonly tensors: number; readonly mismatches: readonly string[] }>;
}

/** One output format. To add one: a file like onnxFast.ts and a line in index.ts. */
export interface Exporter {
  readonly id: OutputFormat;
  readonly label: string;
  readonly summary: string;
  /** True where weights are written dequantised: bits per weight are then those of the plan, not of the file. */
  readonly dequantised?: boolean;
  /** Throws `unsupported` or `invalid-argument` before anything is read where the format cannot hold the plan. */
  check(source: CompressSource, plan: CompressPlan): void;
  /** Undefined, or why the format cannot hold the tensor as it is planned: the end of a sentence. Absent: it holds every plan. */
  refuses?(planned: TensorPlan): string | undefined;
  /** Bits of a planned tensor as the format stores it, padding included. Absent: those of the plan's estimate. */
  storedBits?(planned: TensorPlan): number;
  /** Bits of a planned tensor whose groups have these widths, padding and the table of widths included, from their estimate. Absent: one width a tensor. */
  mixedBits?(planned: TensorPlan, groupBits: Uint8Array, estimate: SizeEstimate): number;
  write(job: ExportJob): Promise<ExportResult>;
  /** Bytes of the output, and of memory beyond one tensor, from headers alone. */
  estimate(source: CompressSource, plan: CompressPlan): { readonly bytes: number; readonly extraMemory: number };
}
