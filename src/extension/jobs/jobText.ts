import { basename } from 'node:path';
import { assertNever } from '../../common/assertNever';
import { formatBytes, formatNumber, formatSeconds } from '../../common/units';
import type { JobProgress, JobSpec, JobState } from '../../protocol/jobs';

/** The model's name as people know it: the folder's where the file is merely called model. */
export function modelName(path: string): string {
  const parts = path.split(/[\\/]/).filter((part) => part !== '');
  const last = parts.at(-1) ?? path;
  return /^(model|pytorch_model)\.(safetensors|onnx|bin)$/i.test(last) ? (parts.at(-2) ?? last) : last;
}

/** `Compress loom-base`. */
export function jobTitle(spec: JobSpec): string {
  switch (spec.kind) {
    case 'compress':
      return `Compress ${modelName(spec.model)}`;
    case 'learn':
      return `Learn bits of ${modelName(spec.model)}`;
    case 'evaluate':
      return `Evaluate ${modelName(spec.model)}`;
    case 'compare':
      return `Compare ${modelName(spec.first)} and ${modelName(spec.second)}`;
    case 'inspect':
      return `Inspect ${modelName(spec.model)}`;
    case 'recipe':
      return `Run ${basename(spec.recipe)}`;
    default:
      return assertNever(spec);
  }
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
  if (job.status === 'cancelled')
    return job.spec.kind === 'learn'
      ? 'cancelled; a checkpoint, if one was reached, lies beside the output'
      : 'cancelled, nothing was written';
  return job.status === 'done' ? undefined : job.error?.message;
}

/** What a job came to, in a few words for the tree. */
export function outcomeText(job: JobState): string {
  if (job.status === 'running') return job.progress ? progressText(job.progress) : 'starting';
  if (job.status === 'cancelled') return 'cancelled';
  if (job.status === 'failed') return 'failed';
  const { report } = job;
  if (!report) return 'done';
  switch (report.kind) {
    case 'compress':
    case 'learn':
      return `${formatNumber(report.bitsPerWeight, 3)} bits · ${formatBytes(report.bytesAfter)}`;
    case 'evaluate':
      return `${report.metric} ${formatNumber(report.value, 5)}`;
    case 'compare':
      return `${report.changed} changed · ${report.equal} equal`;
    case 'inspect':
      return `${report.summary.tensors.length} tensors`;
    case 'recipe':
      return `${report.steps.length} steps · ${formatSeconds(report.seconds)}`;
    default:
      return assertNever(report);
  }
}

/** Folder that a job writes, where it writes one. */
export function outputOf(spec: JobSpec): string | undefined {
  return 'out' in spec ? spec.out : undefined;
}
