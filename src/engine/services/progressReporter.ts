import type { JobProgress } from '../../protocol/jobs';
import type { ProgressStep } from '../runtime/workContext';

/** At most ten snapshots a second. */
const intervalMs = 100;
/** No estimate of the time left before a phase has run that long. */
const leastElapsedMs = 500;

/**
 * Turns steps into snapshots with elapsed time, time left in the phase and resident size. Latest wins: a step that comes too
 * soon replaces the waiting one; `flush` sends the last one.
 */
export class ProgressReporter {
  private readonly start: number;
  private phase = '';
  private phaseStart: number;
  private phaseFirst = 0;
  private lastSent = -Infinity;
  private waiting: ProgressStep | undefined;

  constructor(
    private readonly send: (progress: JobProgress) => void,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.start = now();
    this.phaseStart = this.start;
  }

  readonly report = (step: ProgressStep): void => {
    if (step.phase !== this.phase) {
      this.phase = step.phase;
      this.phaseStart = this.now();
      this.phaseFirst = step.done;
    }
    this.waiting = step;
    if (this.now() - this.lastSent >= intervalMs) this.flush();
  };

  /** Sends the waiting snapshot, if any. Call it at the end: the final state is always sent. */
  flush(): void {
    const step = this.waiting;
    if (!step) return;
    this.waiting = undefined;
    const time = this.now();
    this.lastSent = time;
    const remaining = this.remainingSeconds(step, time);
    this.send({
      ...step,
      elapsedSeconds: (time - this.start) / 1000,
      ...(remaining === undefined ? {} : { remainingSeconds: remaining }),
      rssBytes: process.memoryUsage.rss(),
    });
  }

  private remainingSeconds({ done, total }: ProgressStep, time: number): number | undefined {
    const elapsed = time - this.phaseStart;
    const made = done - this.phaseFirst;
    if (total === undefined || made <= 0 || elapsed < leastElapsedMs) return undefined;
    return (elapsed / 1000) * (Math.max(0, total - done) / made);
  }
}
