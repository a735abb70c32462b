import { existsSync } from 'node:fs';
import type { JobState } from '../../protocol/jobs';
import type { TrainingProgress } from '../../protocol/training';
import type { JobAction, JobLine, JobView } from '../../protocol/panels/job';
import { outcomeText, progressFraction, statusText } from '../jobs/jobText';
import { modelReportOf } from './bitAllocationView';

/** A job, running or ended, as the Job panel shows it. */
export function jobView(job: JobState, log: readonly JobLine[]): JobView {
  const { description, progress, status } = job;
  const fraction = progressFraction(progress);
  const training = trainingOf(job);
  return {
    job: job.id,
    title: description.title,
    subtitle: description.subtitle,
    status,
    statusText: statusText(job) ?? outcomeText(job),
    ...(status === 'running' && fraction !== undefined && { fraction }),
    ...elapsedOf(job),
    ...(status === 'running' && progress?.remainingSeconds !== undefined && { remainingSeconds: progress.remainingSeconds }),
    ...(progress && { rssBytes: progress.rssBytes }),
    ...(training && { training }),
    log,
    actions: actionsOf(job),
  };
}

/** The seconds that the report gives, else those so far. */
function elapsedOf({ progress, report }: JobState): Pick<JobView, 'elapsedSeconds'> {
  const { seconds = progress?.elapsedSeconds } = (report ?? {}) as { readonly seconds?: number };
  return seconds === undefined ? {} : { elapsedSeconds: seconds };
}

/** The training so far; of a finished job what its report kept of it. */
function trainingOf({ progress, report }: JobState): TrainingProgress | undefined {
  const training = modelReportOf(report)?.training;
  if (!training) return progress?.training;
  const { steps, stepsPerSecond, mode, curve, evaluations, bestStep } = training;
  return { step: steps, steps, stepsPerSecond, mode, curve, evaluations, bestStep };
}

function actionsOf({ status, description }: JobState): readonly JobAction[] {
  const { model, output, checkpoint } = description;
  const layers: readonly JobAction[] = model ? [{ id: 'bitAllocation', label: 'Bit Allocation' }] : [];
  if (status === 'running') return [{ id: 'cancel', label: 'Cancel' }, ...layers];
  if (status !== 'done')
    return [
      ...(checkpoint !== undefined && existsSync(checkpoint) ? [{ id: 'resume' as const, label: 'Resume' }] : []),
      ...(status === 'failed' ? [{ id: 'openReport' as const, label: 'Open Report' }] : []),
    ];
  return [
    { id: 'openReport', label: 'Open Report' },
    ...layers,
    ...(output === undefined ? [] : [{ id: 'revealOutput' as const, label: 'Reveal Output' }]),
  ];
}
