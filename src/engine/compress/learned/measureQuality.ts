import { readdir, stat } from 'node:fs/promises';
import type { LearnSpec } from '../../../protocol/jobs';
import type { QualityReport } from '../../../protocol/report';
import { readTable } from '../../evaluate/data/readTable';
import { evaluateModel } from '../../evaluate/evaluateModel';
import { withProgress, type WorkContext } from '../../runtime/workContext';

/**
 * Quality of a model, float or written, on data that training did not see: the validation text of a language model; the split `test`, else `val`,
 * of a data set. Undefined if there is none.
 */
export async function measureQuality(spec: LearnSpec, model: string, context: WorkContext): Promise<QualityReport | undefined> {
  const shared = { kind: 'evaluate' as const, model, ...(spec.columns ? { columns: spec.columns } : {}) };
  const run = withProgress(context, () => undefined);
  if (spec.validation !== undefined && (await isTextFile(spec.validation))) {
    const {
      metric,
      value,
      loss,
      tokens = 0,
    } = await evaluateModel({ ...shared, text: spec.validation, ...(spec.window === undefined ? {} : { window: spec.window }) }, run);
    return { metric, value, loss, samples: tokens };
  }
  if (await isTextFile(spec.data)) return undefined;
  const split = await heldOutSplit(spec, context.memoryLimit);
  if (split === undefined) return undefined;
  const { metric, value, loss, samples = 0 } = await evaluateModel({ ...shared, data: spec.data, split }, run);
  return { metric, value, loss, samples };
}

async function isTextFile(path: string): Promise<boolean> {
  return /\.(txt|md|text)$/i.test(path) && ((await stat(path).catch(() => undefined))?.isFile() ?? false);
}

/** The last part of a data set that training does not read. Undefined also for a table whose rows name no part: training reads all of them. */
async function heldOutSplit(
  { data, columns }: Pick<LearnSpec, 'data' | 'columns'>,
  memoryLimit: number | undefined,
): Promise<string | undefined> {
  const status = await stat(data).catch(() => undefined);
  if (!status) return undefined;
  if (status.isDirectory()) {
    const names = await readdir(data);
    return ['test', 'val'].find((split) => names.includes(`${split}-label.npy`));
  }
  const column = columns?.['split'];
  if (column === undefined) return undefined;
  const { rows } = await readTable(data, memoryLimit);
  return ['test', 'val'].find((split) => rows.some((row) => String(row[column]) === split));
}
