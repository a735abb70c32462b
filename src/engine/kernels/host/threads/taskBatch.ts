/** The outputs of one task run over many inputs, arriving from any thread in any order. */
export class TaskBatch<Output> {
  /** Outputs in the order of the inputs, or the error of the first input that failed. Settles once no earlier input can still fail. */
  readonly outputs: Promise<readonly Output[]>;
  private readonly results: Output[];
  private readonly settled: boolean[];
  private firstOpen = 0;
  private failure: { readonly index: number; readonly error: unknown } | undefined;
  private resolve!: (outputs: readonly Output[]) => void;
  private reject!: (error: unknown) => void;

  constructor(private readonly count: number) {
    this.results = new Array<Output>(count);
    this.settled = new Array<boolean>(count).fill(false);
    this.outputs = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    if (count === 0) this.resolve([]);
  }

  done(index: number, output: Output): void {
    this.results[index] = output;
    this.settle(index);
  }

  failed(index: number, error: unknown): void {
    if (this.failure === undefined || index < this.failure.index) this.failure = { index, error };
    this.settle(index);
  }

  /** Fails the batch with an error, whatever arrives later. */
  abandon(error: unknown): void {
    this.reject(error);
  }

  private settle(index: number): void {
    this.settled[index] = true;
    while (this.settled[this.firstOpen]) this.firstOpen += 1;
    if (this.failure !== undefined && this.firstOpen > this.failure.index) this.reject(this.failure.error);
    else if (this.firstOpen === this.count) this.resolve(this.results);
  }
}
