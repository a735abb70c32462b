import { join } from 'node:path';
import * as vscode from 'vscode';
import type { ParamValue } from '../../common/params';
import type { LearnSpec, OutputFormat } from '../../protocol/jobs';
import { outputFormats } from '../../protocol/jobs';
import { completeLearnSpec, learnDefaults } from '../../protocol/learnDefaults';
import type { MethodDescription } from '../../protocol/methods';
import { modelName } from '../../common/modelName';
import { freeOutput } from '../models/freeOutput';
import { wholeModel } from '../models/modelFiles';
import { readSettings } from '../settings';
import { confirmForecast } from './confirmForecast';
import type { CommandContext } from './context';
import { keptDraft } from './drafts';
import { formatWords } from './formatWords';
import type { OutputChoice } from './outputEntry';
import { outputEntry } from './outputEntry';
import { parameterEntries } from './parameterEntries';
import { parseColumns } from './parseColumns';
import type { DataSource } from './pickData';
import { pickData } from './pickData';
import { choose, chooseSeveral, pickFile, pickModel } from './pickers';
import type { HubEntry } from './settingsHub';
import { askText, settingsHub, textEntry, withBack } from './settingsHub';

/** What the user has decided so far. Numbers as they were typed; empty for the default. */
interface Draft extends OutputChoice {
  readonly model: string;
  readonly source: DataSource;
  method: MethodDescription;
  values: Record<string, ParamValue>;
  /** Whether the width is a target, or the size has a price. */
  steer: 'target' | 'penalty';
  readonly numbers: Record<NumberKey, string>;
  start: 'trained' | 'scratch';
  columns: string;
  validation: string;
  formats: readonly OutputFormat[];
}

type NumberKey = 'targetBits' | 'penalty' | 'steps' | 'batch' | 'window' | 'rate' | 'logitRate' | 'evaluateEvery';

/** *Learn Bits*: model, data, settings in one list, forecast, job with live curves. */
export async function learnBits(context: CommandContext, target: unknown): Promise<void> {
  if (!context.messages.requireTrust('Learning bits')) return;
  const model = wholeModel(await pickModel(context.catalog, target, { title: 'Learn Bits' }));
  const title = `Learn Bits of ${modelName(model)}`;
  const methods = (await context.engine.ask('methods', {})).filter(({ family }) => family === 'training');
  const first = methods.find(({ id }) => id === learnDefaults.method) ?? methods[0];
  if (!first) throw new Error('the engine has no training method');
  await withBack(
    () =>
      pickData(context, {
        title,
        model,
        placeholder: 'Choose the training data',
        textDetail: 'For a language model, which learns to predict this text',
        dataDetail: 'NumPy files train-<input>.npy and train-label.npy, also val-… and test-…',
        sample: { path: join(context.samples, 'text', 'books.txt'), detail: '60 kB, only enough for a first try' },
        tables: true,
      }),
    async (source) => {
      const key = JSON.stringify(['learn', model, source]);
      const draft = keptDraft(context.drafts, key, () => newDraft(model, source, first));
      for (;;) {
        await settingsHub({ title, next: 'show the forecast', entries: () => entriesOf(draft, methods, title), back: true });
        const spec = await confirmForecast(context, specOf(draft), title);
        if (!spec) continue;
        context.drafts.delete(key);
        void context.jobs.run(spec, (id) => context.jobPanels.open(id));
        return;
      }
    },
  );
}

function newDraft(model: string, source: DataSource, method: MethodDescription): Draft {
  return {
    model,
    source,
    method,
    values: defaultsOf(method),
    steer: 'target',
    numbers: { targetBits: '', penalty: '', steps: '', batch: '', window: '', rate: '', logitRate: '', evaluateEvery: '' },
    start: 'trained',
    columns: '',
    validation: '',
    formats: learnDefaults.formats,
    out: '',
    outChosen: false,
  };
}

function entriesOf(draft: Draft, methods: readonly MethodDescription[], title: string): readonly HubEntry[] {
  if (!draft.outChosen) draft.out = freeOutput(draft.model, suffixOf(draft));
  const isText = 'text' in draft.source;
  const number = numberEntry(draft, title);
  return [
    ...(draft.method.learnsWidths === true ? steering(draft, title, number) : []),
    number('steps', 'Steps', String(learnDefaults.steps), 'More steps preserve more quality but take longer', whole, true),
    number(
      'batch',
      'Batch',
      String(isText ? learnDefaults.textBatch : learnDefaults.batch),
      isText ? 'Text windows per step' : 'Samples per step',
      whole,
    ),
    ...(isText ? [number('window', 'Window', String(learnDefaults.window), 'Tokens per text window', whole)] : []),
    number('rate', 'Learning rate', String(learnDefaults.rate), 'For the weights', positive, true),
    ...(draft.method.learnsWidths === true
      ? [number('logitRate', 'Learning rate of bits', String(learnDefaults.logitRate), 'A higher rate changes widths faster', positive)]
      : []),
    number('evaluateEvery', 'Evaluate every', 'every tenth of the steps', 'Steps between evaluations on held-out data', whole),
    {
      label: 'Start',
      value: startWords[draft.start],
      detail: 'From the weights of the model, or from random weights',
      edit: async () => {
        draft.start = draft.start === 'trained' ? 'scratch' : 'trained';
      },
    },
    {
      label: 'Method',
      value: draft.method.label,
      detail: draft.method.summary,
      edit: async () => {
        // By name: a kept draft has the method of an earlier answer of the engine.
        const id = await choose(
          methods.map((method) => ({ label: method.label, description: method.id, detail: method.summary, value: method.id })),
          { title, placeholder: 'How to train', back: true, current: draft.method.id },
        );
        draft.method = methods.find((method) => method.id === id) ?? draft.method;
        draft.values = defaultsOf(draft.method);
      },
    },
    ...parameterEntries(draft.method.parameters, draft.values, title),
    ...dataEntries(draft, title),
    {
      label: 'Format',
      value: draft.formats.map((format) => formatWords[format][0]).join(', '),
      detail: 'One or more formats; each one is evaluated',
      main: true,
      edit: async () => {
        draft.formats = await chooseSeveral(
          outputFormats.map((value) => ({
            label: formatWords[value][0],
            description: value,
            detail: formatWords[value][1],
            value,
            picked: draft.formats.includes(value),
          })),
          { title, placeholder: 'Choose the output formats' },
        );
      },
    },
    { ...outputEntry(draft, title), main: true },
  ];
}

const startWords = { trained: 'from the trained weights', scratch: 'from scratch' } as const;

type NumberEntry = (
  key: NumberKey,
  label: string,
  fallback: string,
  detail: string,
  check: (text: string) => string | undefined,
  main?: boolean,
) => HubEntry;

function numberEntry(draft: Draft, title: string): NumberEntry {
  return (key, label, fallback, detail, check, main = false) => ({
    label,
    main,
    value: draft.numbers[key] || fallback,
    detail,
    edit: async () => {
      draft.numbers[key] = await askText({
        title,
        prompt: `${label}. ${detail}. Leave empty for the default: ${fallback}.`,
        value: draft.numbers[key],
        check: (text) => (text.trim() === '' ? undefined : check(text.trim())),
      });
    },
  });
}

function steering(draft: Draft, title: string, number: NumberEntry): readonly HubEntry[] {
  const { steer } = draft;
  return [
    steer === 'target'
      ? number('targetBits', 'Bits per weight', String(learnDefaults.targetBits), 'Target average, including side information', bits, true)
      : number('penalty', 'Penalty', '0', 'Weight of the size in MiB in the loss', positive, true),
    {
      label: 'Control by',
      value: steer === 'target' ? 'a target' : 'a penalty',
      detail: 'A target in bits per weight, or a fixed penalty as in the paper',
      edit: async () => {
        draft.steer = await choose<Draft['steer']>(
          [
            { label: 'A target', detail: 'Bits per weight; the penalty is adjusted to reach it', value: 'target' },
            { label: 'A penalty', detail: 'Fixed weight of the size in MiB in the loss, as in the paper', value: 'penalty' },
          ],
          { title, placeholder: 'Choose what controls the bits', back: true, current: draft.steer },
        );
      },
    },
  ];
}

function dataEntries(draft: Draft, title: string): readonly HubEntry[] {
  if ('text' in draft.source)
    return [
      {
        label: 'Held-out text',
        value: draft.validation === '' ? 'none' : vscode.workspace.asRelativePath(draft.validation),
        detail: 'Used to choose the best step; it must not be part of the training text',
        edit: async () => {
          draft.validation = await pickFile(title, { Text: ['txt', 'md'], All: ['*'] });
        },
      },
    ];
  if (!isTable(draft.source.data)) return [];
  return [
    textEntry(draft, 'columns', title, {
      label: 'Columns',
      none: 'by input name',
      detail: 'Maps columns to inputs, for example input=pixel_*, label=digit',
      prompt: 'input, label or split = column, separated by commas; * matches several columns',
      check: (text) => (text.trim() === '' || parseColumns(text) ? undefined : 'Enter name=column, separated by commas.'),
    }),
  ];
}

function specOf(draft: Draft): LearnSpec {
  const { numbers, method, source, steer } = draft;
  const number = (key: NumberKey) => (numbers[key] === '' ? {} : { [key]: Number(numbers[key]) });
  const columns = parseColumns(draft.columns);
  return completeLearnSpec(
    {
      model: draft.model,
      data: 'text' in source ? source.text : source.data,
      out: draft.out,
      method: method.id,
      parameters: draft.values,
      ...(method.learnsWidths === true && steer === 'target' && number('targetBits')),
      ...(method.learnsWidths === true && steer === 'penalty' && { penalty: Number(numbers.penalty || 0) }),
      ...number('steps'),
      ...number('batch'),
      ...('text' in source && number('window')),
      ...number('rate'),
      ...(method.learnsWidths === true && number('logitRate')),
      ...number('evaluateEvery'),
      ...(draft.start === 'scratch' && { start: draft.start }),
      ...(draft.columns !== '' && columns && { columns }),
      ...(draft.validation !== '' && { validation: draft.validation }),
      formats: draft.formats,
      ...readSettings().jobOptions,
    },
    method.learnsWidths === true,
  );
}

function suffixOf({ method, numbers, steer }: Draft): string {
  if (method.learnsWidths !== true) return `learned-${method.id}`;
  return steer === 'target' ? `learned-${numbers.targetBits || learnDefaults.targetBits}bit` : `learned-${method.id}`;
}

function defaultsOf(method: MethodDescription): Record<string, ParamValue> {
  return Object.fromEntries(method.parameters.map((spec) => [spec.key, spec.default]));
}

function isTable(path: string): boolean {
  return /\.(csv|parquet)$/i.test(path);
}

function whole(text: string): string | undefined {
  return /^[1-9]\d*$/.test(text) ? undefined : 'Enter a whole number above 0, or leave empty.';
}

function positive(text: string): string | undefined {
  return Number.isFinite(Number(text)) && Number(text) >= 0 ? undefined : 'Enter a number of 0 or more, or leave empty.';
}

function bits(text: string): string | undefined {
  return Number(text) > 0 && Number(text) <= 16 ? undefined : 'Enter a number up to 16, or leave empty.';
}
