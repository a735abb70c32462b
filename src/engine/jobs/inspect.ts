import type { InspectSpec } from '../../protocol/jobs';
import type { JobKind } from './jobKind';
import { summarize } from '../models/summarize';
import { openContainer } from '../models/openContainer';

/** Headers and names only. */
const memoryBytes = 200e6;

/** Looks into a model, as a step of a recipe. */
export const inspectJob: JobKind<InspectSpec> = {
  usesRuntime: false,
  outputs: () => [],
  estimate: () => Promise.resolve({ hostMemoryBytes: memoryBytes, diskBytes: 0, seconds: 1 }),
  run: async ({ model }, { progress }) => {
    progress({ phase: 'Inspecting', done: 0, total: 1, unit: 'models' });
    const container = await openContainer(model);
    try {
      const summary = await summarize(container, model);
      progress({ phase: 'Inspecting', done: 1, total: 1, unit: 'models' });
      return { kind: 'inspect', summary };
    } finally {
      await container.close();
    }
  },
};
