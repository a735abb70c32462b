import type { ParamSpec } from '../../common/params';
import { allocationUnits, outputFormats, providerChoices, sensitivityMeasures } from '../../protocol/jobs';
import { learnDefaults } from '../../protocol/learnDefaults';
import type { MethodDescription } from '../../protocol/methods';

/** What a value in a recipe may be. */
export type FieldType =
  /** A model: a path, the name of an input, or the name of an earlier compress step. */
  | { readonly kind: 'model' }
  /** A file or folder: a path or the name of an input. */
  | { readonly kind: 'file' }
  /** A folder to write. */
  | { readonly kind: 'output' }
  | { readonly kind: 'text' }
  | { readonly kind: 'size' }
  | { readonly kind: 'method'; readonly default?: string }
  /** Parameters of the step's method by key. */
  | { readonly kind: 'parameters' }
  /** `[{ glob, parameters }]`. */
  | { readonly kind: 'overrides' }
  /** Names to names: `{ input: 'pixel_*' }`. */
  | { readonly kind: 'columns' }
  /** A list of texts, or one text. */
  | { readonly kind: 'texts'; readonly choices?: readonly string[] }
  | { readonly kind: 'value'; readonly spec: ParamSpec };

/** One key of a mapping in a recipe. */
export interface Field {
  readonly key: string;
  readonly doc: string;
  readonly type: FieldType;
  readonly required?: boolean;
}

/** What `kind:` of a step may say, with the keys that belong to it. The keys are those of the job's specification. */
export interface StepKind {
  readonly kind: 'inspect' | 'compress' | 'learn' | 'evaluate' | 'compare';
  readonly doc: string;
  /** Methods that `method` may name. */
  readonly methods?: MethodDescription['family'];
  /** True where later steps may name the step as their model. */
  readonly writesModel?: boolean;
  readonly fields: readonly Field[];
}

function wholeNumber(key: string, doc: string, min: number): Field {
  return { key, doc, type: { kind: 'value', spec: { key, label: key, doc, kind: 'integer', min, max: 2 ** 31 - 1, default: min } } };
}

function number(key: string, doc: string): Field {
  return { key, doc, type: { kind: 'value', spec: { key, label: key, doc, kind: 'number', min: 0, max: 1e12, default: 0 } } };
}

function choice(key: string, doc: string, choices: readonly string[]): Field {
  return { key, doc, type: { kind: 'value', spec: { key, label: key, doc, kind: 'choice', choices, default: choices[0] as string } } };
}

function choiceOfTwo(key: string, doc: string): Field {
  return { key, doc, type: { kind: 'value', spec: { key, label: key, doc, kind: 'boolean', default: true } } };
}

function yesOrNo(key: string, doc: string): Field {
  return { key, doc, type: { kind: 'value', spec: { key, label: key, doc, kind: 'boolean', default: false } } };
}

const model: Field = {
  key: 'model',
  doc: 'The model: a path relative to this file, the name of an input, or the name of an earlier compress step.',
  type: { kind: 'model' },
  required: true,
};

const tensors: Field = { key: 'tensors', doc: "Only tensors whose name matches this glob, such as '*.mlp.*'.", type: { kind: 'text' } };

const learnStep: StepKind = {
  kind: 'learn',
  methods: 'training',
  writesModel: true,
  doc: 'Trains a model so that few bits suffice, as learn-bits. Later steps may name this step as their model.',
  fields: [
    model,
    { key: 'data', doc: 'A folder of NumPy files, a table, or a text file.', type: { kind: 'file' }, required: true },
    { key: 'columns', doc: 'Tables only: as in evaluate.', type: { kind: 'columns' } },
    { key: 'validation', doc: 'Held-out text for language models.', type: { kind: 'file' } },
    {
      key: 'method',
      doc: `How weights meet their grid. Default: ${learnDefaults.method}.`,
      type: { kind: 'method', default: learnDefaults.method },
    },
    { key: 'parameters', doc: "The method's parameters; missing ones take their defaults.", type: { kind: 'parameters' } },
    number('targetBits', `Average bits per weight to reach. Default: ${learnDefaults.targetBits}, where the method learns widths.`),
    number('penalty', 'Weight of the size in MiB in the loss, instead of a target.'),
    wholeNumber('steps', `Steps of training. Default: ${learnDefaults.steps}.`, 1),
    wholeNumber('batch', `Samples in a step, or windows of text. Default: ${learnDefaults.batch}, ${learnDefaults.textBatch} for text.`, 1),
    wholeNumber('window', `Tokens of a window of text. Default: ${learnDefaults.window}.`, 2),
    number('rate', `Learning rate of the weights. Default: ${learnDefaults.rate}.`),
    number('logitRate', `Learning rate of the widths. Default: ${learnDefaults.logitRate}.`),
    choice('optimizer', `Default: ${learnDefaults.optimizer}.`, ['adam', 'adamw', 'sgd']),
    number('momentum', 'Of sgd, with Nesterov. Default: 0.9.'),
    number('weightDecay', 'Of adamw and sgd. Default: 0.'),
    choice('schedule', `How the learning rate falls. Default: ${learnDefaults.schedule}.`, ['constant', 'step', 'cosine']),
    wholeNumber('warmup', 'Steps over which the learning rate rises. Default: 0.', 0),
    number('clip', 'Largest norm of all gradients together. Default: no limit.'),
    choice('loss', 'auto decides by labels and outputs.', ['auto', 'cross-entropy', 'binary', 'mse']),
    choice('start', "From the model's weights, or from seeded random ones. Default: trained.", ['trained', 'scratch']),
    { key: 'exclude', doc: 'Globs of tensors that stay float.', type: { kind: 'texts' } },
    number('minimumSize', `MiB of float32 below which a tensor stays float. Default: ${learnDefaults.minimumSize}.`),
    choiceOfTwo('halfRest', 'Store what stays float as float16. Default: true.'),
    wholeNumber('evaluateEvery', 'Steps between evaluations on held-out data. Default: a tenth of all.', 1),
    {
      key: 'formats',
      doc: `Files to write. Default: ${learnDefaults.formats.join(' and ')}.`,
      type: { kind: 'texts', choices: outputFormats },
    },
    { key: 'out', doc: 'Folder to write, relative to this file.', type: { kind: 'output' }, required: true },
    yesOrNo('keepFailed', 'Keep the output for inspection when its verification fails.'),
  ],
};

/** Every kind of step. */
export const stepKinds: readonly StepKind[] = [
  { kind: 'inspect', doc: 'Reads names, shapes and sizes of a model.', fields: [model] },
  {
    kind: 'compress',
    methods: 'quantizer',
    writesModel: true,
    doc: 'Makes a model smaller and verifies the result. Later steps may name this step as their model.',
    fields: [
      model,
      { key: 'method', doc: 'How to compress. May be left out with a budget: rtn.', type: { kind: 'method', default: 'rtn' } },
      { key: 'parameters', doc: "The method's parameters; missing ones take their defaults.", type: { kind: 'parameters' } },
      tensors,
      {
        key: 'overrides',
        doc: 'Other parameters for the tensors that a glob matches; the last match counts. With a budget bits may also be 16 (left alone) or, for channels and groups, 0.',
        type: { kind: 'overrides' },
      },
      number(
        'budget',
        'Bits per weight over all compressed tensors, side information counted: widths and group sizes are chosen under it.',
      ),
      choice('unit', 'With a budget: what gets a width of its own. Default: tensor.', allocationUnits),
      choice(
        'sensitivity',
        'With a budget: how the cost of fewer bits is foretold. Default: gradient where calibration is given, else error.',
        sensitivityMeasures,
      ),
      {
        key: 'calibration',
        doc: 'With a budget: a text, or for ONNX models a folder of data, on which sensitivity is measured.',
        type: { kind: 'file' },
      },
      wholeNumber('measure', 'With calibration: other sizes whose loss is measured too, from half to twice the budget. Default: 0.', 0),
      yesOrNo('embeddings', 'Compress the input embedding too.'),
      yesOrNo('head', 'Compress the output layer too.'),
      choice('format', 'Files to write. Default: onnx-fast where the runtime has kernels for all widths, else onnx-packed.', outputFormats),
      { key: 'out', doc: 'Folder to write, relative to this file.', type: { kind: 'output' }, required: true },
      yesOrNo('keepFailed', 'Keep the output for inspection when its verification fails.'),
    ],
  },
  learnStep,
  {
    kind: 'evaluate',
    doc: 'Measures a model: perplexity on text, accuracy or AUC on data.',
    fields: [
      model,
      { key: 'text', doc: 'A UTF-8 text file: perplexity.', type: { kind: 'file' } },
      wholeNumber('window', 'Tokens of a window. Default: the smaller of the context and 2048.', 2),
      wholeNumber('limit', 'Only the first windows.', 1),
      { key: 'data', doc: 'A folder of NumPy files, a CSV or a Parquet file: accuracy or AUC.', type: { kind: 'file' } },
      { key: 'split', doc: 'Which part of the data. Default: test.', type: { kind: 'text' } },
      {
        key: 'columns',
        doc: 'Tables only: input name, label or split to a column name, or a glob over several columns.',
        type: { kind: 'columns' },
      },
      wholeNumber('batch', 'Samples of one run on data.', 1),
    ],
  },
  {
    kind: 'compare',
    doc: 'Compares two models tensor by tensor.',
    fields: [
      { ...model, key: 'first', doc: `The reference. ${model.doc}` },
      { ...model, key: 'second', doc: `The model to compare with it. ${model.doc}` },
      tensors,
    ],
  },
];

/** Keys of a step that do not depend on its kind. */
export const stepFields: readonly Field[] = [
  {
    ...choice(
      'kind',
      'What the step does.',
      stepKinds.map(({ kind }) => kind),
    ),
    required: true,
  },
  { key: 'name', doc: 'Name for later steps and for the report. Letters, digits, dot, dash and underscore.', type: { kind: 'text' } },
];

/** Keys of `settings`: for every step; flags of the command line win over them. */
export const settingFields: readonly Field[] = [
  choice('provider', 'Where to compute. auto chooses, and the reports say what ran.', providerChoices),
  wholeNumber('threads', 'Threads to compute with, at most one for each core.', 1),
  { key: 'maxMemory', doc: 'Memory limit on the host, such as 3GB.', type: { kind: 'size' } },
  wholeNumber('seed', 'Start of everything random.', 0),
];

/** Keys of the whole file. */
export const topLevelKeys: readonly { readonly key: string; readonly doc: string; readonly required?: boolean }[] = [
  { key: 'name', doc: 'What the recipe is for, in a few words.' },
  { key: 'inputs', doc: 'Names for models, texts and data, by path relative to this file.' },
  { key: 'settings', doc: 'Provider, threads, memory limit and seed for every step.' },
  { key: 'steps', doc: 'What to do, in order.', required: true },
];
