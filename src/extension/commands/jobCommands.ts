import { access } from 'node:fs/promises';
import * as vscode from 'vscode';
import { LoomweightError } from '../../protocol/errors';
import type { JobState } from '../../protocol/jobs';
import { jobTitle, outcomeText, outputOf } from '../jobs/jobText';
import { hasLayers } from '../reports/bitAllocationView';
import type { CommandContext } from './context';
import { choose } from './pickers';

/** *Cancel Job*: the given one, or one of those that run. */
export async function cancelJob(context: CommandContext, target: unknown): Promise<void> {
  const job = await jobOf(context, target, 'Cancel Job', ({ status }) => status === 'running', 'No job is running.');
  if (job) context.jobs.cancel(job.id);
}

/** *Open Report* of a finished job. */
export async function openReport(context: CommandContext, target: unknown): Promise<void> {
  const job = await jobOf(context, target, 'Open Report', ({ status }) => status !== 'running', 'No job has finished yet.');
  if (job) await context.reports.show(`job:${job.id}`);
}

/** *Show Job*: progress, curves and log of a job, running or ended. */
export async function showJob(context: CommandContext, target: unknown): Promise<void> {
  const job = await jobOf(context, target, 'Show Job', () => true, 'No job has been started yet.');
  if (job) context.jobPanels.open(job.id);
}

/** *Show Bit Allocation* of a job that compresses or learns, running or done. */
export async function showBitAllocation(context: CommandContext, target: unknown): Promise<void> {
  const job = await jobOf(
    context,
    target,
    'Show Bit Allocation',
    (job) => hasLayers(job) && (job.status === 'running' || job.status === 'done'),
    'No model has been compressed yet.',
  );
  if (job) context.bitAllocation.open(job.id);
}

/** *Reveal Output*: the folder of a job in the Explorer where it lies in the workspace, else in the system's file manager. */
export async function revealOutput(context: CommandContext, target: unknown): Promise<void> {
  const job = await jobOf(
    context,
    target,
    'Reveal Output',
    ({ spec, status }) => status === 'done' && outputOf(spec) !== undefined,
    'No job has written a folder yet.',
  );
  const path = job && outputOf(job.spec);
  if (path === undefined) return;
  await access(path).catch(() => {
    throw new LoomweightError('not-found', `The output folder is no longer there: ${path}. It was moved or deleted.`, { path });
  });
  const uri = vscode.Uri.file(path);
  const inside = vscode.workspace.getWorkspaceFolder(uri) !== undefined;
  await vscode.commands.executeCommand(inside ? 'revealInExplorer' : 'revealFileInOS', uri);
}

/** Takes a finished job out of the history. Its files stay. */
export async function removeJob(context: CommandContext, target: unknown): Promise<void> {
  const job = await jobOf(context, target, 'Remove from History', ({ status }) => status !== 'running', 'The history is empty.');
  if (job) context.history.remove(job.id);
}

async function jobOf(
  context: CommandContext,
  target: unknown,
  title: string,
  fits: (job: JobState) => boolean,
  none: string,
): Promise<JobState | undefined> {
  if (typeof target === 'string') {
    const known = context.history.get(target);
    if (!known) throw new LoomweightError('not-found', 'This job has left the history.', { job: target });
    return known;
  }
  const fitting = context.history.list().filter(fits);
  if (fitting.length === 0) {
    void vscode.window.showInformationMessage(none);
    return undefined;
  }
  if (fitting.length === 1) return fitting[0];
  return choose(
    fitting.map((job) => ({ label: jobTitle(job.spec), description: outcomeText(job), value: job })),
    { title, placeholder: 'Choose a job' },
  );
}
