import type { Runtime } from '../../runtime/types';
import type { ExportResult } from '../writers/exporter';
import type { CompressPlan } from '../../compress/plan';
import type { CompressSource } from '../../models/modelSource';

/** What a verification looks at and may use. */
export interface VerificationContext {
  readonly source: CompressSource;
  readonly plan: CompressPlan;
  /** The temporary output folder. */
  readonly folder: string;
  readonly result: ExportResult;
  readonly runtime: Runtime;
  readonly signal: AbortSignal | undefined;
  /** Host memory limit in bytes, where there is one. */
  readonly memoryLimit: number | undefined;
  readonly seed: number;
  /** False where the source is itself what was learned: how far the result is from it says nothing about the float model. */
  readonly sourceIsFloat?: boolean;
  /** Relative error of each compressed tensor, as planned. */
  readonly relativeErrors: ReadonlyMap<string, number>;
  /** Plans a compressed tensor once more from the source: dequantised float32 [rows * columns]. */
  readonly planAgain: (name: string) => Promise<Float32Array>;
  readonly progress: (phase: string, done: number, total: number) => void;
  readonly note: (text: string) => void;
}
