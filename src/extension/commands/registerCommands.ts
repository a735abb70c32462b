import * as vscode from 'vscode';
import type { CommandId } from '../contributions';
import { commandIds } from '../contributions';
import { compareModels } from './compareModels';
import { compressModel } from './compressModel';
import type { CommandContext } from './context';
import { evaluateModel } from './evaluateModel';
import { cancelJob, openReport, removeJob, revealOutput, showBitAllocation, showJob } from './jobCommands';
import { learnBits } from './learnBits';
import { newRecipe } from './newRecipe';
import { modelOf, pickModel, pickTensor } from './pickers';
import { forecastRecipe, runRecipe } from './recipes';
import { setUpGpu } from './setUpGpu';
import { startJob } from './startJob';

type Handler = (context: CommandContext, ...values: readonly unknown[]) => unknown;

/** Every command of the manifest with what it does: a command without an entry does not compile. */
const handlers: Readonly<Record<CommandId, Handler>> = {
  [commandIds.compress]: (context, target) => compressModel(context, target),
  [commandIds.learn]: (context, target) => learnBits(context, target),
  [commandIds.evaluate]: (context, target) => evaluateModel(context, target),
  [commandIds.compare]: (context, target, selection) => compareModels(context, target, selection),
  [commandIds.startJob]: (context, target) => startJob(context, target),
  [commandIds.inspectTensor]: inspectTensor,
  [commandIds.openModel]: openModel,
  [commandIds.showDevices]: (context) => context.reports.show('devices'),
  [commandIds.setUpGpu]: (context) => setUpGpu(context),
  [commandIds.terminalCommand]: (context) => context.terminal.toggle(),
  [commandIds.cancelJob]: (context, target) => cancelJob(context, target),
  [commandIds.removeJob]: (context, target) => removeJob(context, target),
  [commandIds.runRecipe]: (context, target) => runRecipe(context, target),
  [commandIds.newRecipe]: (context) => newRecipe(context),
  [commandIds.forecastRecipe]: (context, target) => forecastRecipe(context, target),
  [commandIds.refresh]: (context) => context.catalog.forget(),
  [commandIds.openReport]: (context, target) => openReport(context, target),
  [commandIds.revealOutput]: (context, target) => revealOutput(context, target),
  [commandIds.showBitAllocation]: (context, target) => showBitAllocation(context, target),
  [commandIds.showJob]: (context, target) => showJob(context, target),
  [commandIds.showLog]: (context) => context.log.show(),
};

/** Registers all commands. Errors are shown once, as messages. */
export function registerCommands(context: CommandContext): vscode.Disposable[] {
  return Object.entries(handlers).map(([id, handler]) =>
    vscode.commands.registerCommand(id, async (...values: unknown[]) => {
      try {
        await handler(context, ...values);
      } catch (error) {
        context.messages.showError(error, id);
      }
    }),
  );
}

async function openModel(context: CommandContext, target: unknown, tensor: unknown): Promise<void> {
  const path = await pickModel(context.catalog, target, { title: 'Open Model' });
  // Called with a path by the trees and hovers, without one by a person.
  await context.editors.open(path, typeof tensor === 'string' ? tensor : undefined, { preserveFocus: target !== undefined });
}

async function inspectTensor(context: CommandContext, target: unknown, named: unknown): Promise<void> {
  const node = target as { kind?: string; tensor?: { name: string } } | undefined;
  const given = typeof named === 'string' ? named : node?.kind === 'tensor' ? node.tensor?.name : undefined;
  const model = modelOf(target) ?? (await pickModel(context.catalog, undefined, { title: 'Inspect Tensor' }));
  const tensor = given ?? (await pickTensor(context.catalog, model));
  await context.editors.open(model, tensor, { preserveFocus: false });
}
