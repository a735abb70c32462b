import { checkTitle } from '../../common/checkTitles';
import type { JobState } from '../../protocol/jobs';
import type { BitAllocationView } from '../../protocol/panels/bitAllocation';
import { isModelReport } from '../../protocol/report';
import type { JobReport, ModelReport } from '../../protocol/report';
import { changeWarning } from '../../protocol/verdict';
import { progressFraction, statusText } from '../jobs/jobText';

/** A report as that of a job that has written a model; undefined for other reports. */
export function modelReportOf(report: JobReport | undefined): ModelReport | undefined {
  // Only the head was looked at: the rest is what the engine wrote beside it.
  return isModelReport(report) ? (report as unknown as ModelReport) : undefined;
}

/** Text in place of the slider for a finished result without a budget. */
function sliderHint({ training }: ModelReport): string {
  const start = training === undefined ? 'For a budget slider with predicted loss' : 'These widths were learned. For a budget slider';
  return `${start}, run Compress Model and choose "Budget (bits per weight)" as the method.`;
}

/** A job that writes a model, running or ended, as the Bit allocation panel shows it. Undefined for other jobs. */
export function bitAllocationView(job: JobState): BitAllocationView | undefined {
  const { progress, description } = job;
  const { model } = description;
  if (!model) return undefined;
  const report = modelReportOf(job.report);
  const shared = {
    job: job.id,
    title: model.source,
    model: model.source,
    method: model.method,
    curves: description.opens === 'progress',
  };
  if (report) {
    const { verification, latency, allocation } = report;
    const failed = verification.checks.filter(({ passed }) => !passed).map(({ name }) => checkTitle(name));
    return {
      ...shared,
      status: 'done',
      layers: report.layers,
      bytesBefore: report.bytesBefore,
      bytesAfter: report.bytesAfter,
      bitsPerWeight: report.bitsPerWeight,
      ...(allocation ? { allocation } : { allocationHint: sliderHint(report) }),
      notes: [
        changeWarning(verification) ??
          (verification.passed
            ? `Verified: ${verification.checks.length} checks passed (${verification.scope}).`
            : `Not verified. Failed: ${failed.join('; ')}.`),
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
