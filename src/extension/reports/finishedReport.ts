import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LoomweightError } from '../../protocol/errors';
import type { JobReport, ModelReport } from '../../protocol/report';
import type { JobHistory } from '../jobs/jobHistory';
import { modelReportOf } from './bitAllocationView';

/** Largest report.json that is read. */
const largestFile = 256 * 1024 ** 2;

/**
 * Brings back what the history does not keep of an ended job: progress and messages, which its run has, and a report that was too long, which its output folder has.
 * Does nothing where the history has it or the files are gone.
 */
export async function recallReport(history: JobHistory, id: string): Promise<void> {
  await history.recallPast(id);
  const job = history.get(id);
  const folder = job?.description.output;
  if (!job || job.report || job.status !== 'done' || folder === undefined) return;
  const report = await readModelReport(join(folder, 'report.json')).catch(() => undefined);
  if (report) history.recall(id, report);
}

/** Reads the report.json of an output folder. Throws `not-found` and `malformed-file` with what to do. */
export async function readModelReport(path: string): Promise<ModelReport> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new LoomweightError(
      'not-found',
      `Cannot read ${path}: ${(error as Error).message}. Choose the report.json of an output folder.`,
      {
        path,
      },
    );
  });
  const report = modelReportOf(text.length > largestFile ? undefined : parse(text));
  if (report) return report;
  throw new LoomweightError(
    'malformed-file',
    `${path} is not the report of a model written by Loomweight. Choose the report.json of an output folder.`,
    { path },
  );
}

function parse(text: string): JobReport | undefined {
  try {
    return (JSON.parse(text) as JobReport | null) ?? undefined;
  } catch {
    return undefined;
  }
}
