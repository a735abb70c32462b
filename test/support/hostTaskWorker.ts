import { serveTasks } from '../../src/engine/kernels/host/threads/serveTasks';
import { testTasks } from './hostTestTasks';

/** A worker of the tests: bundled, then given to `HostThreads` as its script. */
serveTasks(Object.values(testTasks));
