import { existsSync } from 'node:fs';
import { checkpointEnding } from '../../protocol/learnDefaults';
import type { JobSpec, JobState } from '../../protocol/jobs';
import type { TrainingProgress } from '../../protocol/training';
import type { JobAction, JobLine, JobView } from '../../protocol/panels/job';
import { jobTitle, outcomeText, outputOf, progressFraction, statusText } from '../jobs/jobText';
import { hasLayers } from './bitAllocationView';

/** A job, running or ended, as the Job panel shows it. */
export function jobView(job: JobState, log: readonly JobLine[]): JobView {
  const { progress, report, status } = job;
  const fraction = progressFraction(progress);
  const training = trainingOf(job);
  return {
    job: job.id,
    title: jobTitle(job.spec),
    subtitle: subtitleOf(job.spec),
    status,
    statusText: statusText(job) ?? outcomeText(job),
    ...(status === 'running' && fraction !== undefined && { fraction }),
    ...(report && 'seconds' in report ? { elapsedSeconds: report.seconds } : progress && { elapsedSeconds: progress.elapsedSeconds }),
    ...(status === 'running' && progress?.remainingSeconds !== undefined && { remainingSeconds: progress.remainingSeconds }),
    ...(progress && { rssBytes: progress.rssBytes }),
    ...(training && { training }),
    log,
    actions: actionsOf(job),
  };
}

/** The training so far; of a finished job what its report kept of it. */
function trainingOf({ progress, report }: JobState): TrainingProgress | undefined {
  if (report?.kind !== 'learn') return progress?.training;
  const { steps, stepsPerSecond, mode, curve, evaluations, bestStep } = report.training;
  return { step: steps, steps, stepsPerSecond, mode, curve, evaluations, bestStep };
}

function subtitleOf(spec: JobSpec): string {
  switch (spec.kind) {
    case 'learn': {
      const aim =
        spec.targetBits !== undefined
          ? [`target ${spec.targetBits} bits per weight`]
          : spec.penalty === undefined
            ? []
            : [`penalty ${spec.penalty}`];
      return [spec.method, ...aim, `${spec.steps} steps`].join(', ');
    }
    case 'compress':
      return `${spec.budget === undefined ? spec.method : `budget of ${spec.budget} bits per weight`}, ${spec.format}`;
    case 'evaluate':
      return spec.text ?? spec.data ?? '';
    case 'compare':
      return `${spec.first}, ${spec.second}`;
    case 'recipe':
      return spec.recipe;
    case 'inspect':
      return spec.model;
  }
}

/** True where an interrupted training left a checkpoint. */
function canResume(spec: JobSpec): boolean {
  return spec.kind === 'learn' && existsSync(`${spec.out}${checkpointEnding}`);
}

function actionsOf(job: JobState): readonly JobAction[] {
  if (job.status === 'running')
    return [{ id: 'cancel', label: 'Cancel' }, ...(hasLayers(job) ? [{ id: 'bitAllocation' as const, label: 'Bit Allocation' }] : [])];
  if (job.status !== 'done')
    return [
      ...(canResume(job.spec) ? [{ id: 'resume' as const, label: 'Go On' }] : []),
      ...(job.status === 'failed' ? [{ id: 'openReport' as const, label: 'Open Report' }] : []),
    ];
  return [
    { id: 'openReport', label: 'Open Report' },
    ...(hasLayers(job) ? [{ id: 'bitAllocation' as const, label: 'Bit Allocation' }] : []),
    ...(outputOf(job.spec) === undefined ? [] : [{ id: 'revealOutput' as const, label: 'Reveal Output' }]),
  ];
}
