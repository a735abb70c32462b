import type { ParamValue } from '../../common/params';
import type { CompressSpec, OutputFormat, SensitivityMeasure } from '../../protocol/jobs';
import { outputFormats, sensitivityMeasures } from '../../protocol/jobs';
import type { MethodDescription } from '../../protocol/methods';
import { modelName } from '../../common/modelName';
import { freeOutput } from '../models/freeOutput';
import { editorFor, wholeModel } from '../models/modelFiles';
import { readSettings } from '../settings';
import { confirmForecast } from './confirmForecast';
import type { CommandContext } from './context';
import { formatWords } from './formatWords';
import type { OutputChoice } from './outputEntry';
import { outputEntry } from './outputEntry';
import { parameterEntries, valueText } from './parameterEntries';
import type { Choice } from './pickers';
import { choose, pickModel } from './pickers';
import type { HubEntry } from './settingsHub';
import { askText, settingsHub } from './settingsHub';

/** The method whose widths a budget chooses. */
const budgetMethod = 'rtn';
/** Bits per weight that are offered first. */
const firstBudget = '3.5';

/** What the user has decided so far. */
interface Draft extends OutputChoice {
  readonly model: string;
  readonly method: MethodDescription;
  /** Bits per weight, as typed; undefined if the method has its own widths. */
  budget: string | undefined;
  /** How the loss is predicted under a budget; empty to choose automatically. */
  sensitivity: SensitivityMeasure | '';
  readonly values: Record<string, ParamValue>;
  format: OutputFormat;
  tensors: string;
  embeddings: boolean;
  head: boolean;
}

/** *Compress Model*: model, method, settings in one list, forecast, job. */
export async function compressModel(context: CommandContext, target: unknown): Promise<void> {
  if (!context.messages.requireTrust('Compressing')) return;
  const model = wholeModel(await pickModel(context.catalog, target, { title: 'Compress Model' }));
  const title = `Compress ${modelName(model)}`;
  const { method, budget } = await pickMethod(context, title);
  const draft: Draft = {
    model,
    method,
    budget,
    sensitivity: '',
    values: Object.fromEntries(method.parameters.map((spec) => [spec.key, spec.default])),
    format: budget === undefined ? defaultFormat(model, hasWidth(method)) : 'onnx-packed',
    tensors: '',
    embeddings: false,
    head: false,
    out: '',
    outChosen: false,
  };
  for (;;) {
    await settingsHub({ title, next: 'show the forecast', entries: () => entriesOf(draft, title) });
    const spec = specOf(draft);
    const confirmed = await confirmForecast(context, spec, title);
    if (confirmed) {
      void context.jobs.run(confirmed);
      return;
    }
  }
}

/** A method with its own widths, or a budget that chooses widths for the method that allows it. */
async function pickMethod(context: CommandContext, title: string): Promise<Pick<Draft, 'method' | 'budget'>> {
  const methods = context.engine.ask('methods', {}).then((list) => list.filter(({ family }) => family === 'quantizer'));
  return choose(
    methods.then((list): readonly Choice<Pick<Draft, 'method' | 'budget'>>[] => {
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
    { title, placeholder: 'Choose a method' },
  );
}

/** Settings of a budget. */
function budgetEntries(draft: Draft, title: string): readonly HubEntry[] {
  return [
    {
      label: 'Budget',
      value: `${draft.budget} bits per weight`,
      detail: 'Over all compressed tensors, including scales and zero points',
      edit: async () => {
        draft.budget = await askText({
          title,
          prompt: 'Bits per weight, from 1 to 16, for example 3.5',
          value: draft.budget ?? firstBudget,
          check: (text) => (Number(text) >= 1 && Number(text) <= 16 ? undefined : 'Enter a number from 1 to 16.'),
        });
      },
    },
    {
      label: 'Sensitivity',
      value: draft.sensitivity === '' ? 'automatic' : draft.sensitivity,
      detail: 'How the loss of fewer bits is predicted',
      edit: async () => {
        draft.sensitivity = await choose<SensitivityMeasure | ''>(
          [
            { label: 'Automatic', description: 'auto', value: '' },
            ...sensitivityMeasures.map((value) => ({ label: sensitivityWords[value], description: value, value })),
          ],
          { title, placeholder: 'How to predict the loss' },
        );
      },
    },
  ];
}

const sensitivityWords: Readonly<Record<SensitivityMeasure, string>> = {
  error: 'Weight error; needs no data',
  activation: 'Output error of each layer on a sample',
  gradient: 'Gradient of the loss with respect to each weight',
  divergence: 'Measured change of the predictions; slowest and most accurate',
};

function entriesOf(draft: Draft, title: string): readonly HubEntry[] {
  if (!draft.outChosen) draft.out = freeOutput(draft.model, suffixOf(draft));
  const yesNo = (key: 'embeddings' | 'head', label: string, detail: string): HubEntry => ({
    label,
    value: valueText(draft[key]),
    detail,
    edit: async () => {
      draft[key] = !draft[key];
    },
  });
  return [
    ...(draft.budget === undefined ? parameterEntries(draft.method.parameters, draft.values, title) : budgetEntries(draft, title)),
    {
      label: 'Output',
      value: formatWords[draft.format][0],
      detail: formatWords[draft.format][1],
      edit: async () => {
        draft.format = await choose(
          outputFormats.map((value) => ({ label: formatWords[value][0], description: value, detail: formatWords[value][1], value })),
          { title, placeholder: 'Choose the output formats' },
        );
      },
    },
    outputEntry(draft, title),
    {
      label: 'Tensors',
      value: draft.tensors === '' ? 'linear layers of the blocks' : draft.tensors,
      detail: 'A pattern such as *.mlp.* compresses only matching tensors',
      edit: async () => {
        draft.tensors = await askText({
          title,
          prompt: 'Pattern for tensor names; leave empty for all linear layers',
          value: draft.tensors,
        });
      },
    },
    yesNo('embeddings', 'Embeddings', 'Also compress the embedding table'),
    yesNo('head', 'Head', 'Also compress the output layer'),
  ];
}

function specOf(draft: Draft): CompressSpec {
  return {
    kind: 'compress',
    model: draft.model,
    method: draft.method.id,
    // A budget chooses every parameter that is not given.
    parameters: draft.budget === undefined ? draft.values : {},
    ...(draft.budget !== undefined && { budget: Number(draft.budget) }),
    ...(draft.sensitivity !== '' && { sensitivity: draft.sensitivity }),
    format: draft.format,
    out: draft.out,
    ...(draft.tensors !== '' && { tensors: draft.tensors }),
    ...(draft.embeddings && { embeddings: true }),
    ...(draft.head && { head: true }),
    ...readSettings().jobOptions,
  };
}

/**
 * The format that most people want: `onnx-fast` for codes of some width, `hf` for a method without one. A bare weight file has no
 * architecture to make a graph from.
 */
export function defaultFormat(model: string, width: boolean): OutputFormat {
  if (!width) return 'hf';
  return editorFor(model) !== undefined && model.toLowerCase().endsWith('.safetensors') ? 'hf' : 'onnx-fast';
}

function hasWidth({ parameters }: MethodDescription): boolean {
  return parameters.some(({ key }) => key === 'bits');
}

function suffixOf({ budget, method, values, format }: Draft): string {
  const bits = values['bits'];
  if (budget !== undefined) return `budget-${budget}bit-${format}`;
  return [method.id, ...(bits === undefined ? [] : [`${valueText(bits)}bit`]), format].join('-');
}
