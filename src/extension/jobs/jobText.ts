import { modelName } from '../../common/modelName';
import { formatSeconds } from '../../common/units';
import type { JobProgress, JobSpec, JobState } from '../../protocol/jobs';
import type { JobDescription } from '../../protocol/kinds';
import type { ModelReport } from '../../protocol/report';

/** A job that its kind has not described: one of an older history, or one whose engine does not answer. `report`: that of a model, where it has one. */
export function plainDescription(spec: JobSpec, report?: ModelReport): JobDescription {
  const fields = spec as JobSpec & Readonly<Record<string, unknown>>;
  const subject = ['model', 'first', 'base', 'recipe'].map((key) => fields[key]).find((value) => typeof value === 'string');
  const name = `${spec.kind.slice(0, 1).toUpperCase()}${spec.kind.slice(1)}`;
  return {
    title: subject === undefined ? name : `${name} ${modelName(subject)}`,
    subtitle: subject ?? '',
    ...(typeof fields['out'] === 'string' && { output: fields['out'] }),
    ...(report && { model: { source: modelName(report.source.path), method: report.method } }),
    opens: report ? 'layers' : 'report',
  };
}

/** `Quantising 12 of 56 layers, 8 s left`. */
export function progressText(progress: JobProgress): string {
  const amount =
    progress.total === undefined
      ? progress.done > 0
        ? ` ${progress.done} ${progress.unit}`
        : ''
      : ` ${progress.done} of ${progress.total} ${progress.unit}`;
  const { remainingSeconds } = progress;
  const left = remainingSeconds === undefined ? '' : `, ${remainingSeconds < 1 ? 'under 1 s' : formatSeconds(remainingSeconds)} left`;
  return `${progress.phase}${amount}${left}`;
}

/** How far a job is, from 0 to 1; undefined while unknown. */
export function progressFraction(progress: JobProgress | undefined): number | undefined {
  if (!progress?.total) return undefined;
  return Math.min(1, progress.done / progress.total);
}

/** What a running job is doing, or why one failed; undefined for one that is done. */
export function statusText(job: JobState): string | undefined {
  if (job.status === 'running') return job.progress ? progressText(job.progress) : 'starting';
  if (job.status === 'cancelled') return `cancelled; ${keptBy(job)}`;
  if (job.status === 'interrupted') return `interrupted: its process is gone; ${keptBy(job)}`;
  return job.status === 'done' ? undefined : job.error?.message;
}

/** What a job that was stopped has left: outputs of finished steps stay, the unfinished one is removed. */
function keptBy({ description }: JobState): string {
  return description.checkpoint === undefined ? 'nothing unfinished was kept' : 'the last checkpoint, if any, was kept next to the output';
}

/** What a job came to, in a few words for the tree. */
export function outcomeText(job: JobState): string {
  if (job.status === 'running') return job.progress ? progressText(job.progress) : 'starting';
  return job.status === 'done' ? (job.outcome ?? 'done') : job.status;
}
