import { modelName } from '../../common/modelName';
import { formatBytes, formatNumber } from '../../common/units';
import { choice, keepFailedField, modelField, number, outField, wholeNumber, yesOrNo } from '../../protocol/fields';
import { outputFormats } from '../../protocol/jobs';
import type { LearnSpec } from '../../protocol/jobs';
import { checkpointEnding, completeLearnSpec, dataPaths, isTextData, learnDefaults } from '../../protocol/learnDefaults';
import type { LearnReport } from '../../protocol/report';
import { learnPage, learnText } from '../reports/learnReport';
import { describeWeightMethods, findWeightMethod } from '../train/methods/index';
import type { ComputingKind } from './stepKind';

/** Trains a model so that few bits suffice. */
export const learnKind: ComputingKind<LearnSpec, LearnReport> = {
  id: 'learn',
  label: 'Learn bits',
  summary: 'Trains a model to need few bits, like the command learn-bits. Later steps can use this step as their model.',
  writesModel: true,
  command: {
    name: 'learn-bits',
    summary: 'Train a model to need few bits: the bit-width of each group of weights is learned by gradient.',
    details: [
      'The model is trained on your data with noise as large as the rounding error in place of rounding, so every group of weights learns its ' +
        'own width. --target-bits steers the average; --penalty sets the weight of the size (in MiB) in the loss instead. ' +
        'The result with the best held-out loss is written, verified and measured.',
      'Data is a folder of NumPy files (<split>-<input>.npy, <split>-label.npy; splits train, val, test), a CSV or Parquet file with a column split, or a ' +
        'text file for language models.',
      'Ctrl-C keeps a checkpoint next to the output; --resume continues from it and gives bit-identical results on the same provider with the same number of ' +
        'threads; with another number, the report says so. A checkpoint is never overwritten: --start-over deletes it and begins again.',
    ],
    examples: [
      'loomweight learn-bits digits-mlp.onnx --data digits-data --target-bits 3 --out out/digits-3bit',
      'loomweight learn-bits loom-base --data train-books.txt --validation held-out.txt --target-bits 4 --steps 1000 --group-size 16 --out out/loom-base-learned',
      'loomweight learn-bits digits-mlp.onnx --data digits-data --method qat --bits 4 --format onnx-packed --out out/digits-qat',
    ],
  },
  fields: [
    modelField('A Hugging Face directory, an ONNX file, or a folder that Loomweight wrote.'),
    {
      key: 'data',
      doc: 'A folder of NumPy files, a table, or a text file. Texts can be mixed: a.txt:0.7,b.txt:0.3.',
      type: { kind: 'file', mixed: true },
      required: true,
      flag: { value: 'DATA', doc: 'What to train on. Texts can be mixed: a.txt:0.7,b.txt:0.3.' },
    },
    { key: 'columns', doc: 'Tables only: the same as for evaluate.', type: { kind: 'columns' } },
    {
      key: 'validation',
      doc: 'Held-out text for language models.',
      type: { kind: 'file' },
      flag: { doc: 'Held-out text for language models; data sets use their splits val and test.' },
    },
    {
      key: 'method',
      doc: `Quantisation method used during training. Default: ${learnDefaults.method}.`,
      type: { kind: 'method', default: learnDefaults.method },
      flag: {
        value: 'NAME',
        doc: `Quantisation method used during training. Default: ${learnDefaults.method}. 'loomweight methods' lists them.`,
      },
    },
    number('targetBits', `Average bits per weight to reach. Default: ${learnDefaults.targetBits}, if the method learns widths.`, {
      flag: {
        doc: `Average bits per weight to reach, including side information. Default: ${learnDefaults.targetBits}, if the method learns widths.`,
      },
    }),
    number('penalty', 'Weight of the size in MiB in the loss, instead of a target.'),
    { key: 'parameters', doc: 'Parameters of the method; omitted ones have their defaults.', type: { kind: 'parameters' } },
    wholeNumber('steps', `Training steps. Default: ${learnDefaults.steps}.`, 1),
    wholeNumber(
      'batch',
      `Samples per step, or windows of text. Default: ${learnDefaults.batch}, or ${learnDefaults.textBatch} for text.`,
      1,
    ),
    wholeNumber('window', `Tokens per window of text. Default: ${learnDefaults.window}.`, 2),
    number('rate', `Learning rate of the weights. Default: ${learnDefaults.rate}.`),
    number('logitRate', `Learning rate of the widths. Default: ${learnDefaults.logitRate}.`),
    choice('optimizer', `Optimizer. Default: ${learnDefaults.optimizer}.`, ['adam', 'adamw', 'sgd']),
    number('momentum', 'Momentum of sgd (Nesterov). Default: 0.9.'),
    number('weightDecay', 'Weight decay of adamw and sgd. Default: 0.'),
    choice('schedule', `Learning rate schedule. Default: ${learnDefaults.schedule}.`, ['constant', 'step', 'cosine']),
    wholeNumber('warmup', 'Steps over which the learning rate warms up. Default: 0.', 0),
    number('clip', 'Maximum norm of all gradients together. Default: no limit.'),
    choice('loss', 'Loss function. auto chooses it from the labels and outputs.', ['auto', 'cross-entropy', 'binary', 'mse']),
    choice('start', 'Initial weights: those of the model, or random ones drawn with the seed. Default: trained.', ['trained', 'scratch']),
    {
      key: 'exclude',
      doc: 'Globs of tensors to keep as float.',
      type: { kind: 'texts' },
      flag: { value: 'GLOB', doc: 'Tensors to keep as float. Repeatable.' },
    },
    number('minimumSize', `Smallest tensor to quantise, in MiB of float32. Default: ${learnDefaults.minimumSize}.`, {
      flag: { name: 'min-size' },
    }),
    yesOrNo('halfRest', 'Store tensors kept as float in float16. Default: true.', {
      default: true,
      flag: {
        name: 'float32-rest',
        negates: true,
        doc: 'Store tensors kept as float in float32 instead of float16. The types of an ONNX model never change: only its values are rounded.',
      },
    }),
    wholeNumber('evaluateEvery', 'Steps between evaluations on held-out data. Default: a tenth of the steps.', 1),
    {
      key: 'formats',
      doc: `Files to write. Default: ${learnDefaults.formats.join(' and ')}.`,
      type: { kind: 'texts', choices: outputFormats },
      flag: {
        name: 'format',
        doc: `Files to write, one or more of ${outputFormats.join(', ')}. Default: ${learnDefaults.formats.join(',')}.`,
      },
    },
    outField,
    yesOrNo('resume', 'Continue from the checkpoint of an interrupted run with the same settings.', { commandOnly: true }),
    yesOrNo('startOver', 'Delete the checkpoint of an interrupted run and train from the beginning.', { commandOnly: true }),
    keepFailedField,
  ],
  rules: [
    { rule: 'exclusive', keys: ['targetBits', 'penalty'] },
    { rule: 'exclusive', keys: ['resume', 'startOver'] },
    { rule: 'learnsWidths', keys: ['targetBits', 'penalty'] },
  ],
  methods: describeWeightMethods,
  check: (values, words) => {
    const { data } = values as Partial<LearnSpec>;
    if (data === undefined || isTextData(data)) return [];
    return ['window', 'validation']
      .filter((key) => values[key] !== undefined)
      .map((key) => ({
        key,
        message: `${words.name(key)} applies only to training on text, but ${words.name('data')} does not name a text file.`,
      }));
  },
  complete: (values) => {
    const given = values as Partial<LearnSpec> & Pick<LearnSpec, 'model' | 'data' | 'out'>;
    return completeLearnSpec(given, findWeightMethod(given.method ?? learnDefaults.method).learnsWidths);
  },

  inputs: ({ model, data, validation }) => [model, ...dataPaths(data), ...(validation === undefined ? [] : [validation])],
  outputs: ({ out }) => [out],
  describe: ({ model, method, targetBits, penalty, steps, formats, out }) => ({
    title: `Learn bits of ${modelName(model)}`,
    subtitle: [
      method,
      ...(targetBits !== undefined ? [`target ${targetBits} bits per weight`] : penalty === undefined ? [] : [`penalty ${penalty}`]),
      `${steps} steps`,
    ].join(', '),
    output: out,
    model: { source: modelName(model), method: `${method}, ${formats.join(', ')}` },
    opens: 'progress',
    checkpoint: `${out}${checkpointEnding}`,
  }),

  forecast: async (spec) => {
    const { estimateLearn } = await import('../compress/learned/estimateLearn');
    return estimateLearn(spec);
  },
  computes: true,
  run: async (spec, context) => {
    const { learnBits } = await import('../compress/learned/learnBits');
    return learnBits(spec, context);
  },

  outcome: ({ bitsPerWeight, bytesAfter }) => `${formatNumber(bitsPerWeight, 3)} bits · ${formatBytes(bytesAfter)}`,
  text: learnText,
  page: learnPage,
};
