import { stat } from 'node:fs/promises';
import { LoomweightError } from '../../../protocol/errors';
import type { EvaluateSpec, LearnSpec } from '../../../protocol/jobs';
import type { EvaluateReport, QualityReport } from '../../../protocol/report';
import type { JobData } from '../../evaluate/data/jobData';
import { evaluateModel } from '../../evaluate/evaluateModel';
import { withProgress, type WorkContext } from '../../runtime/workContext';

/** Data that training does not see: a text, or a split of the job's data. */
export type HeldOutQuality = { readonly text: string } | { readonly data: JobData; readonly split: string };

/**
 * What quality is measured on: the validation text of a language model; the split `test`, else `val`, of a data set, whose other splits are freed. Undefined if there is none, and for a table whose
 * rows name no split: training reads all of them.
 */
export async function findHeldOut(spec: LearnSpec, data: JobData): Promise<HeldOutQuality | undefined> {
  if (spec.validation !== undefined && (await isTextFile(spec.validation))) return { text: spec.validation };
  if (await isTextFile(spec.data)) return undefined;
  const split = (await data.has('test')) ? 'test' : (await data.has('val')) ? 'val' : undefined;
  data.keepOnly(split === undefined ? [] : [split]);
  return split === undefined ? undefined : { data, split };
}

/** A model to measure, and what notes call it. */
interface QualityRequest {
  readonly spec: LearnSpec;
  readonly heldOut: HeldOutQuality | undefined;
  readonly model: string;
  readonly name: string;
}

/**
 * Quality of a model, float or written, on data that training did not see. Undefined if there is none, and where memory is too short for measuring, which a note says: a figure is missing
 * then, not the output. Errors: those of `evaluateModel` otherwise.
 */
export async function measureQuality(
  { spec, heldOut, model, name }: QualityRequest,
  context: WorkContext,
): Promise<QualityReport | undefined> {
  if (heldOut === undefined) return undefined;
  try {
    const { metric, value, loss, samples, tokens } = await evaluate(
      spec,
      heldOut,
      model,
      withProgress(context, () => undefined),
    );
    return { metric, value, loss, samples: ('text' in heldOut ? tokens : samples) ?? 0 };
  } catch (error) {
    if (!LoomweightError.is(error, 'insufficient-memory')) throw error;
    context.note(`The quality of ${name} was not measured: ${error.message}`);
    return undefined;
  }
}

function evaluate(spec: LearnSpec, heldOut: HeldOutQuality, model: string, context: WorkContext): Promise<EvaluateReport> {
  const shared = { kind: 'evaluate', model } as const;
  if ('text' in heldOut)
    return evaluateModel({ ...shared, text: heldOut.text, ...(spec.window === undefined ? {} : { window: spec.window }) }, context);
  const given: EvaluateSpec = { ...shared, data: spec.data, split: heldOut.split, ...(spec.columns ? { columns: spec.columns } : {}) };
  return evaluateModel(given, context, heldOut.data);
}

async function isTextFile(path: string): Promise<boolean> {
  return /\.(txt|md|text)$/i.test(path) && ((await stat(path).catch(() => undefined))?.isFile() ?? false);
}
