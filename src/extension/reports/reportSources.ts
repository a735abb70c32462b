import * as vscode from 'vscode';
import { isRecipe } from '../../protocol/jobs';
import type { RecipeSpec } from '../../protocol/jobs';
import type { ReportAction } from '../../protocol/panels/reportPage';
import { commandIds } from '../contributions';
import type { EngineHost } from '../engineHost/engineHost';
import type { JobHistory } from '../jobs/jobHistory';
import type { ReportSource } from '../panels/reportPanels';
import { readSettings } from '../settings';
import { recallReport } from './finishedReport';
import { jobWithoutReport } from './jobDocument';
import { devicesDocument, forecastDocument } from './machineDocuments';

/** What the key of a report panel refers to: `job:ID`, `forecast:PATH`, `devices`. */
export function reportSource(key: string, engine: EngineHost, history: JobHistory): ReportSource {
  const [, kind = key, subject = ''] = /^(job|forecast):(.*)$/s.exec(key) ?? [];
  if (kind === 'job') {
    return {
      make: async () => {
        await recallReport(history, subject);
        const job = history.get(subject);
        if (!job) return { ...missing };
        return job.report ? (await engine.ask('describeReport', { spec: job.spec, report: job.report })).page : jobWithoutReport(job);
      },
      act: (action) => actOnJob(action, subject, history),
    };
  }
  if (kind === 'forecast') {
    return {
      make: async () => {
        const spec: RecipeSpec = { kind: 'recipe', recipe: subject, ...readSettings().jobOptions };
        return forecastDocument(subject, await engine.ask('forecast', { spec }));
      },
      act: () => openFile(subject),
    };
  }
  return {
    make: async () => {
      const { runtimePath } = readSettings();
      return devicesDocument(await engine.ask('devices', runtimePath === undefined ? {} : { runtimePath }));
    },
    act: async (action) => {
      if (action === 'setUpGpu') await vscode.commands.executeCommand(commandIds.setUpGpu);
    },
  };
}

const missing = {
  title: 'Report',
  subtitle: 'This job is no longer in the history.',
  figures: [],
  sections: [
    { kind: 'text' as const, heading: 'What to do', paragraphs: ['Open report.json in the output folder, or run the job again.'] },
  ],
  actions: [],
};

async function actOnJob(action: ReportAction['id'], id: string, history: JobHistory): Promise<void> {
  const spec = history.get(id)?.spec;
  if (action === 'bitAllocation') await vscode.commands.executeCommand(commandIds.showBitAllocation, id);
  if (action === 'curves') await vscode.commands.executeCommand(commandIds.showJob, id);
  if (action === 'revealOutput') await vscode.commands.executeCommand(commandIds.revealOutput, id);
  if (action === 'openFile' && spec && isRecipe(spec)) await openFile(spec.recipe);
}

async function openFile(path: string): Promise<void> {
  await vscode.window.showTextDocument(vscode.Uri.file(path));
}
