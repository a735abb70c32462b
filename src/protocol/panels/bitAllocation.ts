/** What the Bit allocation panel draws: a snapshot, sent on "ready" and again whenever it changes; never a delta. */
export interface BitAllocationView {
  readonly title: string;
  readonly model: string;
  readonly method: string;
  /** `running` while the job fills the panel layer by layer. */
  readonly status: 'running' | 'done' | 'failed';
  readonly layers: readonly {
    readonly name: string;
    readonly weights: number;
    readonly bits: number;
    readonly relativeError: number;
    readonly bytesBefore: number;
    readonly bytesAfter: number;
  }[];
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly bitsPerWeight: number;
  /** Sentences: verification, latency, what to know. */
  readonly notes: readonly string[];
}

/** What the panel may ask of its host. */
export interface BitAllocationRequests {
  openReport(): Promise<void>;
  revealOutput(): Promise<void>;
}
