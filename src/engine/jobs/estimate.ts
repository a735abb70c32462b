/** What a job will need, as its kind works it out from headers alone. */
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
