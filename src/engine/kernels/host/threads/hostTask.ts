import type { ErrorData } from '../../../../protocol/errors';

/**
 * Work that any thread can do. Input and output are plain data: what structured cloning copies, and views of shared memory, which it does not
 * copy. A task must give the same output on whatever thread it runs, and keeps nothing between two runs but scratch memory.
 */
export interface HostTask<Input, Output> {
  /** By which a worker finds it in its own list. */
  readonly name: string;
  run(input: Input): Output;
}

/** Checks a task's type; keeps the files of tasks free of annotations. */
export function defineHostTask<Input, Output>(task: HostTask<Input, Output>): HostTask<Input, Output> {
  return task;
}

/** A task as any list holds it. */
export type AnyHostTask = HostTask<never, unknown>;

/** To a worker: run this. */
export interface TaskMessage {
  readonly task: string;
  readonly input: unknown;
}

/** From a worker: once when it can take work, then once for every task. */
export type WorkerMessage =
  { readonly kind: 'ready' } | { readonly kind: 'done'; readonly output: unknown } | { readonly kind: 'failed'; readonly error: ErrorData };
