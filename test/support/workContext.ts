import type { Runtime } from '../../src/engine/runtime/types';
import type { WorkContext } from '../../src/engine/runtime/workContext';

/** What work in a runtime is given where a test does not look at progress or notes. */
export function workContext(runtime: Runtime, more: Partial<WorkContext> = {}): WorkContext {
  return { runtime, signal: undefined, memoryLimit: undefined, seed: 0, progress: () => undefined, note: () => undefined, ...more };
}
