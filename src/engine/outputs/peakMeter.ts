/** Highest resident size seen, sampled by a timer between tensors and at every report. */
export class PeakMeter {
  private highest = 0;
  private readonly timer: NodeJS.Timeout;

  constructor(private readonly read: () => number) {
    this.sample();
    this.timer = setInterval(() => this.sample(), 50);
    this.timer.unref();
  }

  sample(): void {
    this.highest = Math.max(this.highest, this.read());
  }

  bytes(): number {
    this.sample();
    return this.highest;
  }

  stop(): void {
    clearInterval(this.timer);
  }
}
