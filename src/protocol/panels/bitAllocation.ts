/** What the Bit allocation panel draws: a snapshot, sent on "ready" and again whenever it changes; never a delta. */
export interface BitAllocationView {
  /** The job that the panel belongs to; the page keeps it, so that a restored panel finds its job again. */
  readonly job: string;
  readonly title: string;
  readonly model: string;
  readonly method: string;
  /** `running` while the job fills the panel layer by layer. */
  readonly status: 'running' | 'done' | 'failed';
  /** How far a running job is, from 0 to 1; absent while unknown. */
  readonly fraction?: number;
  /** What a running job is doing, with the time left; or why it failed. */
  readonly statusText?: string;
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

/** One layer of the view. */
export type AllocatedLayer = BitAllocationView['layers'][number];

/** What the panel may ask of its host. */
export interface BitAllocationRequests {
  /** The page (re)starts. */
  ready(): Promise<BitAllocationView>;
  openReport(): Promise<void>;
  revealOutput(): Promise<void>;
}

/** What the host tells the panel. */
export interface BitAllocationEvents {
  changed: BitAllocationView;
}
