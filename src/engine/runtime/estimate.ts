/** What a job will need, worked out from headers alone. */
export interface JobEstimate {
  /** Largest resident size of the process. */
  readonly hostMemoryBytes: number;
  /** Only where a GPU provider runs it. */
  readonly deviceMemoryBytes?: number;
  /** Everything written, the unfinished copy included. */
  readonly diskBytes: number;
  readonly seconds: number;
  /** What the numbers leave out, as sentences. */
  readonly notes?: readonly string[];
}

/** What an estimate may look at. */
export interface EstimateContext {
  readonly provider: string;
  readonly threads: number;
  /** Bytes that the process may hold; work is planned below it. */
  readonly memoryLimit: number;
}

/**
 * Bytes of a job's process with the runtime loaded, beside what it holds of a model: Node, our code, ONNX Runtime, and garbage that the collector leaves for a while, which is
 * more where the arrays are larger. Measured: 97 to 133 MiB for models of some kilobytes, some 170 MiB beside those of 16 MB and more (docs/benchmarks.md).
 */
export function processBytes(weightBytes: number): number {
  return 130e6 + Math.min(50e6, 4 * weightBytes);
}
