import { HostThreads } from '../../src/engine/kernels/host/threads/hostThreads';
import { testTasks } from './hostTestTasks';

/** Runs work in threads and leaves them open: the process must wait for the work and then end by itself. Argument: the worker's script. */
async function main(): Promise<void> {
  const threads = new HostThreads(2, { workerFile: process.argv[2] as string });
  const outputs = await threads.run(
    testTasks.step,
    [0, 1, 2, 3].map((index) => ({ index, milliseconds: 50 })),
  );
  console.log(outputs.map(({ index }) => index).join(' '));
}

void main();
