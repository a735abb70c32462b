import { threadId } from 'node:worker_threads';
import { LoomweightError } from '../../src/protocol/errors';
import { defineHostTask } from '../../src/engine/kernels/host/threads/hostTask';

/** What a test asks of one run. */
export interface Step {
  readonly index: number;
  /** Time that the run keeps its thread busy. */
  readonly milliseconds?: number;
  readonly failure?: string;
}

function work(milliseconds = 0): void {
  for (const end = performance.now() + milliseconds; performance.now() < end;);
}

/** Tasks that do nothing but show how they were run. */
export const testTasks = {
  step: defineHostTask({
    name: 'step',
    run: ({ index, milliseconds, failure }: Step) => {
      work(milliseconds);
      if (failure !== undefined) throw new LoomweightError('malformed-file', failure, { index });
      return { index, threadId };
    },
  }),
  add: defineHostTask({
    name: 'add',
    run: ({ values, by }: { readonly values: Float32Array; readonly by: number }) => {
      values.forEach((value, index) => (values[index] = value + by));
      return values.length;
    },
  }),
  exit: defineHostTask({ name: 'exit', run: (code: number) => process.exit(code) }),
  endless: defineHostTask({
    name: 'endless',
    run: (started: Int32Array) => {
      Atomics.store(started, 0, 1);
      for (;;) work(1000);
    },
  }),
};
