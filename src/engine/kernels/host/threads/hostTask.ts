import type { ErrorData } from '../../../../protocol/errors';

/**
 * Work that any thread can do. Input and output are plain data: values that structured cloning copies, and views of shared memory, which it
 * does not copy. A task must give the same output on every thread, and keeps nothing between runs except scratch memory.
 */
export interface HostTask<Input, Output> {
  /** Name under which a worker finds the task in its own list. */
  readonly name: string;
  run(input: Input): Output;
}

/** Checks a task's type, so that the files of tasks need no annotations. */
export function defineHostTask<Input, Output>(task: HostTask<Input, Output>): HostTask<Input, Output> {
  return task;
}

/** A task with its types erased, as stored in lists. */
export type AnyHostTask = HostTask<never, unknown>;

/** To a worker: run this task. */
export interface TaskMessage {
  readonly task: string;
  readonly input: unknown;
}

/** From a worker: once when it is ready, then once per task. */
export type WorkerMessage =
  { readonly kind: 'ready' } | { readonly kind: 'done'; readonly output: unknown } | { readonly kind: 'failed'; readonly error: ErrorData };
