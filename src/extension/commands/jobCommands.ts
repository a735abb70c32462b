import { access } from 'node:fs/promises';
import * as vscode from 'vscode';
import { LoomweightError } from '../../protocol/errors';
import type { JobSpec, JobState } from '../../protocol/jobs';
import { outcomeText } from '../jobs/jobText';
import { showInformation } from '../shown/notifications';
import { confirmForecast } from './confirmForecast';
import type { CommandContext } from './context';
import { choose } from './pickers';

/** *Cancel Job*: the given one, or one of those that run. */
export async function cancelJob(context: CommandContext, target: unknown): Promise<void> {
  const job = await jobOf(context, target, 'Cancel Job', ({ status }) => status === 'running', 'No job is running.');
  if (job) await context.jobs.cancel(job.id);
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

/** *Show Bit Allocation* of a job that writes a model, running or done. */
export async function showBitAllocation(context: CommandContext, target: unknown): Promise<void> {
  const job = await jobOf(
    context,
    target,
    'Show Bit Allocation',
    ({ description, status }) => description.model !== undefined && (status === 'running' || status === 'done'),
    'No job has written a model yet.',
  );
  if (job) context.bitAllocation.open(job.id);
}

/** *Reveal Output*: the folder of a job in the Explorer where it is in the workspace, else in the system's file manager. */
export async function revealOutput(context: CommandContext, target: unknown): Promise<void> {
  const job = await jobOf(
    context,
    target,
    'Reveal Output',
    ({ description, status }) => status === 'done' && description.output !== undefined,
    'No job has written a folder yet.',
  );
  const path = job?.description.output;
  if (path === undefined) return;
  await access(path).catch(() => {
    throw new LoomweightError('not-found', `The output folder ${path} no longer exists. It was moved or deleted.`, { path });
  });
  const uri = vscode.Uri.file(path);
  const inside = vscode.workspace.getWorkspaceFolder(uri) !== undefined;
  await vscode.commands.executeCommand(inside ? 'revealInExplorer' : 'revealFileInOS', uri);
}

/** Resumes an interrupted job from its checkpoint, after another look at the forecast. */
export async function resumeJob(context: CommandContext, id: string): Promise<void> {
  if (!context.messages.requireTrust('Resuming a job')) return;
  const job = context.history.get(id);
  if (job?.description.checkpoint === undefined)
    throw new LoomweightError('not-found', 'This job is no longer in the history. Start it again.', { job: id });
  const { startOver: _startOver, ...spec } = job.spec as JobSpec & { readonly startOver?: boolean };
  const confirmed = await confirmForecast(context, { ...spec, resume: true }, `Resume: ${job.description.title}`);
  if (confirmed) void context.jobs.run(confirmed, (started) => context.jobPanels.open(started));
}

/** Takes a finished job out of the history. Its files stay. */
export async function removeJob(context: CommandContext, target: unknown): Promise<void> {
  const job = await jobOf(context, target, 'Remove from History', ({ status }) => status !== 'running', 'The history is empty.');
  if (job) await context.jobs.remove(job.id);
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
    if (!known) throw new LoomweightError('not-found', 'This job is no longer in the history.', { job: target });
    return known;
  }
  const fitting = context.history.list().filter(fits);
  if (fitting.length === 0) {
    void showInformation(none);
    return undefined;
  }
  if (fitting.length === 1) return fitting[0];
  return choose(
    fitting.map((job) => ({ label: job.description.title, description: outcomeText(job), value: job })),
    { title, placeholder: 'Choose a job' },
  );
}
