import * as vscode from 'vscode';
import { formatBytes, formatNumber } from '../../common/units';
import type { JobState } from '../../protocol/jobs';
import { changeWarning } from '../../protocol/verdict';
import { commandIds } from '../contributions';
import { modelReportOf } from '../reports/bitAllocationView';
import { showInformation, showWarning } from '../shown/notifications';

/** Tells the user what a finished job came to, and offers to show it. */
export async function announceDone({ id, description: { title }, report, outcome }: JobState): Promise<void> {
  const model = modelReportOf(report);
  if (model) {
    const changed = changeWarning(model.verification);
    const verified = changed ?? (model.verification.passed ? 'Verified.' : 'Not verified.');
    const slower = model.latency && model.latency.afterMilliseconds > model.latency.beforeMilliseconds ? ` ${model.latency.summary}` : '';
    const text =
      `${title}: ${formatBytes(model.bytesBefore)} became ${formatBytes(model.bytesAfter)}, ` +
      `${formatNumber(model.bitsPerWeight, 3)} bits per weight. ${verified}${slower}`;
    const show = changed === undefined ? showInformation : showWarning;
    const chosen = await show(text, 'Show Bit Allocation', 'Reveal Output');
    if (chosen === 'Show Bit Allocation') void vscode.commands.executeCommand(commandIds.showBitAllocation, id);
    if (chosen === 'Reveal Output') void vscode.commands.executeCommand(commandIds.revealOutput, id);
    return;
  }
  const chosen = await showInformation(`${title}: ${outcome ?? 'done'}.`, 'Open Report');
  if (chosen !== undefined) void vscode.commands.executeCommand(commandIds.openReport, id);
}

/** Tells the user that a job's process is gone, and offers to show it: its page has *Resume* where there is a checkpoint. */
export async function announceInterrupted({ id, description: { title } }: JobState): Promise<void> {
  const chosen = await showWarning(`${title} was interrupted: its process is gone.`, 'Show Job');
  if (chosen !== undefined) void vscode.commands.executeCommand(commandIds.showJob, id);
}
