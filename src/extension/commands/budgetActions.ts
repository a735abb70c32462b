import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import * as vscode from 'vscode';
import { modelName } from '../../common/modelName';
import { cancelledError, LoomweightError } from '../../protocol/errors';
import { isCompression } from '../../protocol/jobs';
import type { CompressSpec, JobState } from '../../protocol/jobs';
import type { BudgetChoice, ComparedResult } from '../../protocol/panels/bitAllocation';
import type { ModelReport } from '../../protocol/report';
import { outcomeText } from '../jobs/jobText';
import { freeOutput } from '../models/freeOutput';
import { workspaceFolder } from '../models/workspaceFolder';
import { modelReportOf } from '../reports/bitAllocationView';
import { budgetRecipe, budgetSpec } from '../reports/budgetRecipe';
import { readModelReport, recallReport } from '../reports/finishedReport';
import { readSettings } from '../settings';
import { confirmForecast } from './confirmForecast';
import type { CommandContext } from './context';
import { outputEntry } from './outputEntry';
import type { Choice } from './pickers';
import { choose, pickFile, separator } from './pickers';
import { settingsHub } from './settingsHub';

/**
 * Another result for the Bit allocation panel of a job: the one with a key, or without one what the user chooses among finished jobs and
 * report.json files. Undefined if a kept result is gone or the user cancels.
 */
export async function comparedResult(context: CommandContext, id: string, key: string | undefined): Promise<ComparedResult | undefined> {
  const chosen = key ?? (await pickOther(context, id));
  const [, kind, subject = ''] = /^(job|file):(.*)$/s.exec(chosen) ?? [];
  const restoring = key !== undefined;
  if (kind === 'file') {
    const report = await readModelReport(subject).catch((error: unknown) => {
      if (restoring) return undefined;
      throw error;
    });
    return report && compared(chosen, modelName(dirname(subject)), report);
  }
  await recallReport(context.history, subject);
  const job = context.history.get(subject);
  const report = modelReportOf(job?.report);
  if (job && report) return compared(chosen, otherTitle(job), report);
  if (restoring) return undefined;
  throw new LoomweightError(
    'not-found',
    'The report of this job was not found: its output folder was moved or deleted. Choose a report.json.',
  );
}

async function pickOther(context: CommandContext, id: string): Promise<string> {
  const title = 'Compare Bit Allocations';
  const jobs = context.history.list().filter((job) => job.id !== id && job.status === 'done' && job.description.model !== undefined);
  const items: Choice<string>[] = [
    ...jobs.map((job) => ({ label: otherTitle(job), description: outcomeText(job), value: `job:${job.id}` })),
    separator('On this machine'),
    { icon: 'file', label: 'Choose a report…', detail: 'The report.json of an output folder', value: ':file' },
  ];
  const chosen = await choose(items, { title, placeholder: 'Choose a result to compare with this one' });
  return chosen === ':file' ? `file:${await pickFile(title, { Reports: ['json'] })}` : chosen;
}

/** `loom-base, budget of 3.5 bits per weight, onnx-packed`. */
function otherTitle({ description }: JobState): string {
  return description.model ? `${description.model.source}, ${description.subtitle}` : description.title;
}

function compared(key: string, title: string, report: ModelReport): ComparedResult {
  const { layers, bytesAfter, bitsPerWeight, allocation } = report;
  return { key, title, layers, bytesAfter, bitsPerWeight, ...(allocation && { predictedLoss: allocation.predictedLoss }) };
}

/** Writes a recipe that compresses the job's model under the chosen budget, and opens it. */
export async function saveBudgetRecipe(context: CommandContext, id: string, choice: BudgetChoice): Promise<void> {
  if (!context.messages.requireTrust('Writing a recipe')) return;
  const spec = compressSpecOf(context, id);
  const folder = workspaceFolder() ?? dirname(spec.out);
  const target = await vscode.window.showSaveDialog({
    title: 'Save as Recipe',
    defaultUri: vscode.Uri.file(join(folder, `${modelName(spec.model)}-${text(choice.budget)}bit.loom.yaml`)),
    filters: { Recipes: ['loom.yaml', 'yaml'] },
  });
  if (!target) throw cancelledError();
  const out = freeOutput(spec.model, `budget-${text(choice.budget)}bit-${spec.format}`);
  await writeFile(target.fsPath, budgetRecipe(budgetSpec(spec, choice, out), target.fsPath));
  await vscode.window.showTextDocument(target, { viewColumn: vscode.ViewColumn.Active, preview: false });
}

/** Compresses the job's model under the chosen budget: folder, forecast, job, and its own panel. */
export async function compressUnderBudget(context: CommandContext, id: string, choice: BudgetChoice): Promise<void> {
  if (!context.messages.requireTrust('Compressing')) return;
  const spec = compressSpecOf(context, id);
  const title = `Compress ${modelName(spec.model)} with ${text(choice.budget)} Bits per Weight`;
  const folder = { out: freeOutput(spec.model, `budget-${text(choice.budget)}bit-${spec.format}`), outChosen: false };
  for (;;) {
    const job = { ...budgetSpec(spec, choice, folder.out), ...readSettings().jobOptions };
    const confirmed = await confirmForecast(context, job, title);
    if (confirmed) {
      void context.jobs.run(confirmed, (started) => context.bitAllocation.open(started));
      return;
    }
    await settingsHub({ title, next: 'show the forecast', entries: () => [outputEntry(folder, title)] });
  }
}

function compressSpecOf(context: CommandContext, id: string): CompressSpec {
  const spec = context.history.get(id)?.spec;
  if (spec && isCompression(spec)) return spec;
  throw new LoomweightError('not-found', 'This job is no longer in the history. Run Compress Model again.', { job: id });
}

/** A budget as written in names: `3.5`. */
function text(budget: number): string {
  return String(Number(budget.toFixed(2)));
}
