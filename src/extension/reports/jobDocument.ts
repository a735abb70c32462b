import type { JobState } from '../../protocol/jobs';
import type { ReportPageView } from '../../protocol/panels/reportPage';
import { outcomeText } from '../jobs/jobText';

/** A job that has no report to show: it failed, was cancelled, or its report is in the output folder only. */
export function jobWithoutReport(job: JobState): ReportPageView {
  const { description, error } = job;
  const failed = job.status === 'failed';
  return {
    title: description.title,
    subtitle: outcomeText(job),
    ...(failed && { verdict: { state: 'failed' as const, text: 'Failed' } }),
    figures: [],
    sections: [
      {
        kind: 'text',
        heading: failed ? 'Reason' : 'Report',
        paragraphs: [
          error?.message ?? 'The report is too long for the history. Open report.json in the output folder, or run the job again.',
        ],
      },
    ],
    actions: description.output !== undefined && !failed ? [{ id: 'revealOutput', label: 'Reveal Output' }] : [],
  };
}
