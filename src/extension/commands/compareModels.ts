import { modelName } from '../../common/modelName';
import type { CompareSpec } from '../../protocol/jobs';
import { wholeModel } from '../models/modelFiles';
import { readSettings } from '../settings';
import type { CommandContext } from './context';
import { modelOf, pickModel } from './pickers';

/** *Compare Models*: two models, tensor by tensor. Two selected tree items are taken as they are. */
export async function compareModels(context: CommandContext, target: unknown, selection: unknown): Promise<void> {
  if (!context.messages.requireTrust('Comparing')) return;
  const selected = Array.isArray(selection) ? selection.map(modelOf).filter((path): path is string => path !== undefined) : [];
  const title = 'Compare Models';
  const first = selected[0] ?? (await pickModel(context.catalog, target, { title, placeholder: 'First model' }));
  const second =
    selected[1] ??
    (await pickModel(context.catalog, undefined, { title, placeholder: `Compare ${modelName(first)} with`, without: first }));
  const spec: CompareSpec = { kind: 'compare', first: wholeModel(first), second: wholeModel(second), ...readSettings().jobOptions };
  void context.jobs.run(spec);
}
