import { modelName } from '../../common/modelName';
import { readOverrides } from '../../common/overrides';
import { defaultFormat } from '../../protocol/defaultFormat';
import type { CompressSpec } from '../../protocol/jobs';
import { wholeModel } from '../models/modelFiles';
import { readSettings } from '../settings';
import type { CompressDraft } from './compressEntries';
import { compressEntries, firstBudget, overrideRules } from './compressEntries';
import { confirmForecast } from './confirmForecast';
import type { CommandContext } from './context';
import { keptDraft } from './drafts';
import type { Choice } from './pickers';
import { choose, pickModel } from './pickers';
import { settingsHub, withBack } from './settingsHub';

/** The method whose widths a budget chooses. */
const budgetMethod = 'rtn';

/** What the user chooses first. */
type MethodChoice = Pick<CompressDraft, 'method' | 'budget'>;

/** *Compress Model*: model, method, settings in one list, forecast, job. What was set is kept when the user leaves, for the next time with this model and method. */
export async function compressModel(context: CommandContext, target: unknown): Promise<void> {
  if (!context.messages.requireTrust('Compressing')) return;
  const asked = target === undefined;
  await withBack(
    async () => wholeModel(await pickModel(context.catalog, target, { title: 'Compress Model' })),
    (model) => {
      const title = `Compress ${modelName(model)}`;
      return withBack(
        () => pickMethod(context, title, asked),
        async (choice) => {
          const draft = keptDraft(context.drafts, draftKey(model, choice), () => newDraft(model, choice));
          for (;;) {
            await settingsHub({
              title,
              next: 'show the forecast',
              entries: () => compressEntries(draft, title, context.samples),
              back: true,
            });
            const spec = await confirmForecast(context, specOf(draft), title);
            if (!spec) continue;
            context.drafts.delete(draftKey(model, choice));
            void context.jobs.run(spec);
            return;
          }
        },
      );
    },
  );
}

function newDraft(model: string, { method, budget }: MethodChoice): CompressDraft {
  const values = Object.fromEntries(method.parameters.map((spec) => [spec.key, spec.default]));
  return {
    model,
    method,
    budget,
    sensitivity: '',
    unit: '',
    calibration: '',
    overrides: '',
    values,
    format: defaultFormat(model, method.parameters, values, [], budget === undefined ? undefined : Number(budget)).format,
    tensors: '',
    embeddings: false,
    head: false,
    out: '',
    outChosen: false,
  };
}

function draftKey(model: string, { method, budget }: MethodChoice): string {
  return JSON.stringify(['compress', model, method.id, budget === undefined]);
}

/** A method with its own widths, or a budget that chooses widths for the method that allows it. */
async function pickMethod(context: CommandContext, title: string, back: boolean): Promise<MethodChoice> {
  const methods = context.engine
    .ask('methods', {})
    .then((list) => list.filter(({ family }) => family === 'quantizer' || family === 'pruner'));
  return choose(
    methods.then((list): readonly Choice<MethodChoice>[] => {
      const items = list.map((method) => ({
        label: method.label,
        description: method.id,
        detail: method.summary,
        value: { method, budget: undefined },
      }));
      const flexible = list.find(({ id }) => id === budgetMethod);
      if (!flexible) return items;
      const budget = {
        label: 'Budget (bits per weight)',
        description: 'budget',
        detail: 'Chooses widths and groups per tensor to preserve the most quality at the given size',
        value: { method: flexible, budget: firstBudget },
      };
      return [...items, budget];
    }),
    { title, placeholder: 'Choose a method', ...(back && { back }) },
  );
}

function specOf(draft: CompressDraft): CompressSpec {
  const read = readOverrides(draft.overrides, overrideRules(draft));
  const overrides = typeof read === 'string' ? [] : read;
  const underBudget = draft.budget !== undefined;
  return {
    kind: 'compress',
    model: draft.model,
    method: draft.method.id,
    // A budget chooses every parameter that is not given.
    parameters: underBudget ? {} : draft.values,
    ...(underBudget && { budget: Number(draft.budget) }),
    ...(underBudget && draft.unit !== '' && { unit: draft.unit }),
    ...(underBudget && draft.sensitivity !== '' && { sensitivity: draft.sensitivity }),
    ...((underBudget || draft.method.needs.length > 0) && draft.calibration !== '' && { calibration: draft.calibration }),
    format: draft.format,
    out: draft.out,
    ...(overrides.length > 0 && { overrides }),
    ...(draft.tensors !== '' && { tensors: draft.tensors }),
    ...(draft.embeddings && { embeddings: true }),
    ...(draft.head && { head: true }),
    ...readSettings().jobOptions,
  };
}
