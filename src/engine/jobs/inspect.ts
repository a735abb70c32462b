import { modelName } from '../../common/modelName';
import { formatBytes, formatCount } from '../../common/units';
import { modelField } from '../../protocol/fields';
import type { InspectSpec } from '../../protocol/jobs';
import type { InspectReport } from '../../protocol/report';
import { summaryText } from '../reports/summaryText';
import type { ReadingKind } from './stepKind';

/** Headers and names only. */
const memoryBytes = 110e6;

/** Reads the headers of a model, as a step of a recipe. The command of that name answers in its own process and is not a job. */
export const inspectKind: ReadingKind<InspectSpec, InspectReport> = {
  id: 'inspect',
  label: 'Inspect',
  summary: 'Reads names, shapes and sizes of a model.',
  fields: [modelField('A file, a Hugging Face directory or a folder that Loomweight wrote.')],

  inputs: ({ model }) => [model],
  outputs: () => [],
  describe: ({ model }) => ({ title: `Inspect ${modelName(model)}`, subtitle: model, opens: 'report' }),

  forecast: () => Promise.resolve({ hostMemoryBytes: memoryBytes, diskBytes: 0, seconds: 1 }),
  computes: false,
  run: async ({ model }, { progress }) => {
    const { openForInspection } = await import('../outputs/readableOutput');
    const { summarize } = await import('../models/summarize');
    progress({ phase: 'Inspecting', done: 0, total: 1, unit: 'models' });
    const container = await openForInspection(model);
    try {
      const summary = await summarize(container, model);
      progress({ phase: 'Inspecting', done: 1, total: 1, unit: 'models' });
      return { kind: 'inspect', summary };
    } finally {
      await container.close();
    }
  },

  outcome: ({ summary }) => `${summary.tensors.length} tensors`,
  text: ({ summary }, { verbose }) => summaryText(summary, { verbose }),
  page: ({ summary }) => ({
    title: summary.name,
    subtitle: `${summary.architecture}, ${summary.format}`,
    figures: [
      { label: 'Parameters', value: formatCount(summary.parameters) },
      { label: 'Size', value: formatBytes(summary.bytes) },
      { label: 'Tensors', value: formatCount(summary.tensors.length) },
    ],
    sections: [
      {
        kind: 'facts',
        heading: 'Metadata',
        rows: Object.entries(summary.metadata).map(([label, value]) => ({ label, value })),
      },
    ],
    actions: [],
  }),
};
