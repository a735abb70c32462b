import { parentPort } from 'node:worker_threads';
import { LoomweightError, toErrorData } from '../../../../protocol/errors';
import type { AnyHostTask, TaskMessage, WorkerMessage } from './hostTask';

/** Runs the tasks that `HostThreads` sends, one at a time, for the lifetime of the thread. Called by the entry file of the worker. */
export function serveTasks(tasks: readonly AnyHostTask[]): void {
  const port = parentPort;
  if (port === null) throw new LoomweightError('internal', 'This worker script is started by the engine; do not run it directly.');
  const byName = new Map(tasks.map((task) => [task.name, task]));
  const answer = (message: WorkerMessage) => port.postMessage(message);
  port.on('message', ({ task: name, input }: TaskMessage) => {
    try {
      const task = byName.get(name);
      if (task === undefined) throw new LoomweightError('internal', `The worker has no task '${name}'.`, { task: name });
      answer({ kind: 'done', output: task.run(input as never) });
    } catch (error) {
      answer({ kind: 'failed', error: toErrorData(error) });
    }
  });
  answer({ kind: 'ready' });
}
