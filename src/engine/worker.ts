import { hostTasks } from './hostTasks';
import { serveTasks } from './kernels/host/threads/serveTasks';

/** Entry of the worker threads that `HostThreads` starts. Holds loops over typed arrays only, never ONNX Runtime. */
serveTasks(hostTasks);
