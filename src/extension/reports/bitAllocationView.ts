import type { JobState } from '../../protocol/jobs';
import type { BitAllocationView } from '../../protocol/panels/bitAllocation';
import type { JobReport } from '../../protocol/report';
import { modelName, progressFraction, statusText } from '../jobs/jobText';
import { checkTitle } from './compressReport';

/** Reports of jobs that give every layer its bits. */
export type LayeredReport = Extract<JobReport, { readonly kind: 'compress' | 'learn' }>;

/** True for a report with layers and their bits. */
export function isLayered(report: JobReport | undefined): report is LayeredReport {
  return report?.kind === 'compress' || report?.kind === 'learn';
}

/** True for jobs that the Bit allocation panel can show. */
export function hasLayers({ spec }: Pick<JobState, 'spec'>): boolean {
  return spec.kind === 'compress' || spec.kind === 'learn';
}

/** What a finished result without a budget says in place of the slider. */
const hints: Readonly<Record<LayeredReport['kind'], string>> = {
  compress: 'For a budget slider with predicted loss, run Compress Model and choose "Budget (bits per weight)" as the method.',
  learn: 'These widths were learned. For a budget slider, run Compress Model and choose "Budget (bits per weight)" as the method.',
};

/** A job that compresses or learns, running or ended, as the Bit allocation panel shows it. Undefined for jobs of other kinds. */
export function bitAllocationView(job: JobState): BitAllocationView | undefined {
  const { report, progress, spec } = job;
  if (spec.kind !== 'compress' && spec.kind !== 'learn') return undefined;
  const model = modelName(spec.model);
  const written = spec.kind === 'learn' ? spec.formats.join(', ') : spec.format;
  const shared = { job: job.id, title: model, model, method: `${spec.method}, ${written}`, curves: spec.kind === 'learn' };
  if (isLayered(report)) {
    const { verification, latency, allocation } = report;
    const failed = verification.checks.filter(({ passed }) => !passed).map(({ name }) => checkTitle(name));
    return {
      ...shared,
      status: 'done',
      layers: report.layers,
      bytesBefore: report.bytesBefore,
      bytesAfter: report.bytesAfter,
      bitsPerWeight: report.bitsPerWeight,
      ...(allocation ? { allocation } : { allocationHint: hints[report.kind] }),
      notes: [
        verification.passed
          ? `Verified: ${verification.checks.length} checks passed (${verification.scope}).`
          : `Not verified. Failed: ${failed.join('; ')}.`,
        ...(latency ? [latency.summary] : []),
        ...report.notes,
      ],
    };
  }
  const layers = progress?.layers ?? [];
  const sum = (pick: (layer: (typeof layers)[number]) => number) => layers.reduce((total, layer) => total + pick(layer), 0);
  const weights = sum((layer) => layer.weights);
  const bytesAfter = sum((layer) => layer.bytesAfter);
  const fraction = progressFraction(progress);
  const running = job.status === 'running';
  const text = statusText(job);
  return {
    ...shared,
    status: running ? 'running' : job.status === 'done' ? 'done' : 'failed',
    ...(fraction !== undefined && { fraction }),
    ...(text !== undefined && { statusText: text }),
    layers,
    bytesBefore: sum((layer) => layer.bytesBefore),
    bytesAfter,
    bitsPerWeight: weights === 0 ? 0 : (8 * bytesAfter) / weights,
    notes: [],
  };
}
