import type { JobProgress } from '../../protocol/jobs';
import type { Runtime } from './types';

/** Progress reported by running work; the reporter adds elapsed time and memory. */
export type ProgressStep = Pick<JobProgress, 'phase' | 'done' | 'total' | 'unit' | 'message' | 'layers' | 'training' | 'text'>;

/** Context of work that does not use the runtime. Passed down unchanged; never redeclared. */
export interface TaskContext {
  readonly signal: AbortSignal | undefined;
  /** Number of bytes that the process may use; work is planned to stay below it. Undefined: all free memory. */
  readonly memoryLimit: number | undefined;
  readonly seed: number;
  /** Reports a snapshot; the receiver limits the rate. */
  progress(step: ProgressStep): void;
  /** Adds a sentence to the report; also shown immediately in verbose output. */
  note(text: string): void;
}

/** Context of work that uses the runtime. */
export interface WorkContext extends TaskContext {
  readonly runtime: Runtime;
}

/** The same context, also collecting its notes for a report. */
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

/** The same context with another progress callback, for work that is a phase of a larger job. */
export function withProgress<Context extends TaskContext>(context: Context, progress: (step: ProgressStep) => void): Context {
  return { ...context, progress };
}
