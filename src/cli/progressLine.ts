import { formatSeconds } from '../common/units';
import type { JobProgress } from '../protocol/jobs';
import { printable } from '../common/shown';
import type { Terminal } from './terminal';

/**
 * Shows how far a job is on stderr: one line that is rewritten on a terminal, else one plain line whenever the phase changes.
 */
export class ProgressLine {
  private phase: string | undefined;
  private shown = false;

  constructor(private readonly terminal: Terminal) {}

  update(progress: JobProgress): void {
    if (this.terminal.quiet) return;
    if (this.terminal.canRewrite) {
      const text = progressText(progress);
      // One column less than the terminal has: a full line would wrap and could not be rewritten.
      this.terminal.rewriteLine(text.slice(0, Math.max(10, this.terminal.columns - 1)));
      this.shown = true;
    } else if (progress.phase !== this.phase) {
      this.terminal.writeError(`${printable(progress.phase)}\n`);
    }
    this.phase = progress.phase;
  }

  /** Writes a whole line and keeps the progress line below it. */
  note(text: string): void {
    this.clear();
    this.terminal.writeError(`${printable(text)}\n`);
  }

  clear(): void {
    if (this.shown) this.terminal.rewriteLine('');
    this.shown = false;
  }
}

/** `Quantizing layers 12/28 (43 %), 8 s left: model.layers.2.mlp.up_proj.weight`. */
export function progressText(progress: JobProgress): string {
  const { phase, done, total, unit, message, remainingSeconds } = progress;
  const amount = total ? ` ${done}/${total} ${unit} (${Math.floor((100 * done) / total)} %)` : done > 0 ? ` ${done} ${unit}` : '';
  const left = remainingSeconds === undefined ? '' : `, ${formatSeconds(remainingSeconds)} left`;
  return printable(`${phase}${amount}${left}${message ? `: ${message}` : ''}`);
}
