import type { JobProgress } from '../../protocol/jobs';
import type { Runtime } from './types';

/** What running work says about itself; elapsed time and memory are added by whoever reports it. */
export type ProgressStep = Pick<JobProgress, 'phase' | 'done' | 'total' | 'unit' | 'message' | 'layers' | 'training'>;

/** What work that computes nothing is given by whoever runs it. Handed down as it is; nobody re-declares it. */
export interface TaskContext {
  readonly signal: AbortSignal | undefined;
  /** Bytes that the process may hold; work is planned below it. Undefined: what is free. */
  readonly memoryLimit: number | undefined;
  readonly seed: number;
  /** A snapshot; the receiver limits the rate. */
  progress(step: ProgressStep): void;
  /** A sentence for the report, shown at once to whoever asks for detail. */
  note(text: string): void;
}

/** What work in the runtime is given. */
export interface WorkContext extends TaskContext {
  readonly runtime: Runtime;
}

/** The same context with its notes collected as well, for a report. */
export function collectNotes<Context extends TaskContext>(
  context: Context,
): { readonly context: Context; readonly notes: readonly string[] } {
  const notes: string[] = [];
  const note = (text: string) => {
    notes.push(text);
    context.note(text);
  };
  return { context: { ...context, note }, notes };
}

/** The same context with other progress, for work that is a phase of something larger. */
export function withProgress<Context extends TaskContext>(context: Context, progress: (step: ProgressStep) => void): Context {
  return { ...context, progress };
}
