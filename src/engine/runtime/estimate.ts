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
