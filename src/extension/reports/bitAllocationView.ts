import type { JobState } from '../../protocol/jobs';
import type { BitAllocationView } from '../../protocol/panels/bitAllocation';
import { modelName, progressFraction, progressText } from '../jobs/jobText';
import { checkTitle } from './compressReport';

/** A compress job, running or ended, as the Bit allocation panel shows it. Undefined for jobs of other kinds. */
export function bitAllocationView(job: JobState): BitAllocationView | undefined {
  if (job.spec.kind !== 'compress') return undefined;
  const { report, progress } = job;
  const model = modelName(job.spec.model);
  const shared = { job: job.id, title: model, model, method: `${job.spec.method}, ${job.spec.format}` };
  if (report?.kind === 'compress') {
    const { verification, latency } = report;
    const failed = verification.checks.filter(({ passed }) => !passed).map(({ name }) => checkTitle(name));
    return {
      ...shared,
      status: 'done',
      layers: report.layers,
      bytesBefore: report.bytesBefore,
      bytesAfter: report.bytesAfter,
      bitsPerWeight: report.bitsPerWeight,
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
  const statusText = running
    ? progress
      ? progressText(progress)
      : 'starting'
    : job.status === 'done'
      ? undefined
      : job.status === 'cancelled'
        ? 'cancelled, nothing was written'
        : job.error?.message;
  return {
    ...shared,
    status: running ? 'running' : job.status === 'done' ? 'done' : 'failed',
    ...(fraction !== undefined && { fraction }),
    ...(statusText !== undefined && { statusText }),
    layers,
    bytesBefore: sum((layer) => layer.bytesBefore),
    bytesAfter,
    bitsPerWeight: weights === 0 ? 0 : (8 * bytesAfter) / weights,
    notes: [],
  };
}
