import { basename, join } from 'node:path';
import { readOverrides, type OverrideRules } from '../../common/overrides';
import type { ParamValue } from '../../common/params';
import type { AllocationUnit, OutputFormat, SensitivityMeasure } from '../../protocol/jobs';
import { allocationUnits, outputFormats, sensitivityMeasures } from '../../protocol/jobs';
import type { MethodDescription } from '../../protocol/methods';
import { freeOutput } from '../models/freeOutput';
import { formatWidths, formatWords, savesNothing } from './formatWords';
import type { OutputChoice } from './outputEntry';
import { outputEntry } from './outputEntry';
import { parameterEntries, valueText } from './parameterEntries';
import { choose, pickFile } from './pickers';
import type { HubEntry } from './settingsHub';
import { askText, textEntry } from './settingsHub';

/** Bits per weight that are offered first. */
export const firstBudget = '3.5';
/** The format that stores every width. */
const anyWidth: OutputFormat = 'onnx-packed';

/** What the user has decided so far about a compression. */
export interface CompressDraft extends OutputChoice {
  readonly model: string;
  readonly method: MethodDescription;
  /** Bits per weight, as typed; undefined if the method has its own widths. */
  budget: string | undefined;
  /** How the loss is predicted under a budget; empty to choose automatically. */
  sensitivity: SensitivityMeasure | '';
  unit: AllocationUnit | '';
  /** A text, or `random`; empty for what the measure needs, or random tokens for a method that is calibrated. */
  calibration: string;
  /** As typed. */
  overrides: string;
  readonly values: Record<string, ParamValue>;
  format: OutputFormat;
  tensors: string;
  embeddings: boolean;
  head: boolean;
}

/** The parameters that most people change. */
const mainParameters = ['bits', 'groupSize', 'symmetric'];

/** The settings of a compression, those that matter to most people first. `samples`: folder of the bundled samples. */
export function compressEntries(draft: CompressDraft, title: string, samples: string): readonly HubEntry[] {
  if (!draft.outChosen) draft.out = freeOutput(draft.model, suffixOf(draft));
  const { method, values, budget } = draft;
  const parameters = budget === undefined ? parameterEntries(method.parameters, values, title) : [];
  const isMain = (index: number) => mainParameters.includes(method.parameters[index]?.key ?? '');
  return [
    ...missingWidth(draft),
    ...parameters.map((entry, index): HubEntry => (isMain(index) ? { ...entry, main: true } : entry)),
    ...(budget === undefined ? [] : budgetEntries(draft, title, samples)),
    ...(budget === undefined && method.needs.length > 0 ? [calibrationEntry(draft, title, samples)] : []),
    formatEntry(draft, title),
    { ...outputEntry(draft, title), main: true },
    overridesEntry(draft, title),
    textEntry(draft, 'tensors', title, {
      label: 'Tensors',
      none: 'linear layers of the blocks',
      detail: 'A glob such as *.mlp.* compresses only matching tensors',
      prompt: 'Glob for tensor names; leave empty for all linear layers',
    }),
    yesNo(draft, 'embeddings', 'Embeddings', 'Also compress the embedding table'),
    yesNo(draft, 'head', 'Head', 'Also compress the output layer'),
  ];
}

/** A way out where the format cannot store the width. */
function missingWidth(draft: CompressDraft): readonly HubEntry[] {
  const bits = draft.budget === undefined ? draft.values['bits'] : undefined;
  const widths = formatWidths[draft.format];
  if (typeof bits !== 'number' || widths === undefined || widths.includes(bits)) return [];
  const listed = `${widths.slice(0, -1).join(', ')} or ${widths.at(-1)}`;
  return [
    {
      icon: 'warning',
      label: `Use ${formatWords[anyWidth][0]}`,
      value: `stores ${bits} bits`,
      detail: `${formatWords[draft.format][0]} stores ${listed} bits, not ${bits}: ONNX Runtime has no kernels for other widths`,
      main: true,
      edit: async () => {
        draft.format = anyWidth;
      },
    },
  ];
}

function formatEntry(draft: CompressDraft, title: string): HubEntry {
  const size = savesNothing(draft.format) ? ' · no smaller file' : '';
  return {
    label: 'Format',
    value: `${formatWords[draft.format][0]}${size}`,
    detail: formatWords[draft.format][1],
    main: true,
    edit: async () => {
      draft.format = await choose(
        outputFormats.map((value) => ({ label: formatWords[value][0], description: value, detail: formatWords[value][1], value })),
        { title, placeholder: 'Choose the output format', back: true, current: draft.format },
      );
    },
  };
}

/** Settings of a budget. */
function budgetEntries(draft: CompressDraft, title: string, samples: string): readonly HubEntry[] {
  return [
    {
      label: 'Budget',
      value: `${draft.budget} bits per weight`,
      detail: 'Over all compressed tensors, including scales and zero points',
      main: true,
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
          { title, placeholder: 'How to predict the loss', back: true, current: draft.sensitivity },
        );
      },
    },
    {
      label: 'Unit',
      value: draft.unit === '' ? 'automatic' : draft.unit,
      detail: 'What widths are chosen for',
      main: true,
      edit: async () => {
        draft.unit = await choose<AllocationUnit | ''>(
          [
            { label: 'Automatic', description: 'auto', value: '' },
            ...allocationUnits.map((value) => ({ label: unitWords[value], description: value, value })),
          ],
          { title, placeholder: 'What to choose widths for', back: true, current: draft.unit },
        );
      },
    },
    calibrationEntry(draft, title, samples),
  ];
}

function calibrationEntry(draft: CompressDraft, title: string, samples: string): HubEntry {
  // A method that is calibrated takes random tokens where it is given nothing.
  const ofMethod = draft.method.needs.length > 0;
  return {
    label: 'Calibration',
    value: draft.calibration === '' ? (ofMethod ? 'random tokens' : 'automatic') : basename(draft.calibration),
    detail: ofMethod ? 'The text that the method is calibrated on' : 'The text or inputs on which the sensitivity is measured',
    main: true,
    edit: async () => {
      const sample = join(samples, 'text', 'books.txt');
      const chosen = await choose<string>(
        [
          ...(ofMethod
            ? [{ label: 'Random tokens', detail: 'Needs no data; a typical text gives better results', value: '' }]
            : [
                { label: 'Automatic', detail: 'What the measure of sensitivity needs', value: '' },
                { label: 'Random inputs', detail: 'Needs no data; for models of any kind', value: 'random' },
              ]),
          { label: 'Sample text', detail: 'Bundled with Loomweight; for language models', value: sample },
          { icon: 'file-text', label: 'Choose a text…', detail: 'A .txt or .jsonl file like what the model will read', value: ':file' },
        ],
        {
          title,
          placeholder: ofMethod ? 'Choose what to calibrate on' : 'Choose what to measure on',
          back: true,
          current: draft.calibration,
        },
      );
      draft.calibration = chosen === ':file' ? await pickFile(title, { Texts: ['txt', 'md', 'jsonl'], All: ['*'] }) : chosen;
    },
  };
}

function overridesEntry(draft: CompressDraft, title: string): HubEntry {
  return textEntry(draft, 'overrides', title, {
    label: 'Overrides',
    none: 'none',
    detail: 'Other parameters for some tensors, for example *.down_proj.weight=bits:8',
    prompt: 'GLOB=key:value,…; separate several with semicolons. Leave empty for none.',
    check: (text) => {
      const read = readOverrides(text, overrideRules(draft));
      return typeof read === 'string' ? read : undefined;
    },
  });
}

/** How the draft's overrides are read. */
export function overrideRules({ method, budget }: Pick<CompressDraft, 'method' | 'budget'>): OverrideRules {
  return { method, pins: budget !== undefined, subject: 'An override' };
}

function yesNo(draft: CompressDraft, key: 'embeddings' | 'head', label: string, detail: string): HubEntry {
  return {
    label,
    value: valueText(draft[key]),
    detail,
    edit: async () => {
      draft[key] = !draft[key];
    },
  };
}

const sensitivityWords: Readonly<Record<SensitivityMeasure, string>> = {
  error: 'Weight error; needs no data',
  activation: 'Output error of each layer on a sample',
  gradient: 'Gradient of the loss with respect to each weight',
  divergence: 'Measured change of the predictions; slowest and most accurate',
};

const unitWords: Readonly<Record<AllocationUnit, string>> = {
  tensor: 'Whole tensors',
  channel: 'Output channels',
  group: 'Groups of weights',
};

function suffixOf({ budget, method, values, format }: CompressDraft): string {
  const bits = values['bits'];
  if (budget !== undefined) return `budget-${budget}bit-${format}`;
  return [method.id, ...(bits === undefined ? [] : [`${valueText(bits)}bit`]), format].join('-');
}
