import { placeTensorTask, rangeOfRowsTask, roundRowsTask } from './compress/quantizers/rounding/roundOnThreads';
import type { AnyHostTask } from './kernels/host/threads/hostTask';
import { hashFileTask } from './models/hashFile';

/** Every task that a worker thread can be sent. */
export const hostTasks: readonly AnyHostTask[] = [roundRowsTask, rangeOfRowsTask, placeTensorTask, hashFileTask];
