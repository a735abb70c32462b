import type { JobProgress } from '../../jobs';

/** Shown from the request to cancel until the process is gone. Layers and curves stay in sight. */
export function cancelling(last: JobProgress | undefined): JobProgress {
  const { elapsedSeconds = 0, rssBytes = 0, layers, training } = last ?? {};
  return { phase: 'Cancelling', done: 0, unit: '', elapsedSeconds, rssBytes, ...(layers && { layers }), ...(training && { training }) };
}
