import { resolve } from 'node:path';
import { formatBytes, formatNumber, formatSeconds } from '../../common/units';
import { describeWeightMethods, findWeightMethod } from '../../engine/train/methods/index';
import { outputFormats, type LearnSpec, type OutputFormat } from '../../protocol/jobs';
import { completeLearnSpec, isTextData, learnDefaults } from '../../protocol/learnDefaults';
import type { LearnReport, QualityReport } from '../../protocol/report';
import type { Arguments } from '../arguments';
import { usageError } from '../arguments';
import { defineCommand } from '../command';
import { givenParameters, methodParameters } from '../methodFlags';
import { outOption, type OptionSpec } from '../options';
import { runJob } from '../runJob';
import { formatPairs, formatTable } from '../table';
import { parseColumn } from './evaluate';
import { verificationText } from './verificationText';

const wholeNumber = { kind: 'integer', value: 'N', min: 1, max: 2 ** 31 - 1 } as const;
const number = (name: string, doc: string): OptionSpec => ({ name, kind: 'text', value: 'X', doc });
const choice = (name: string, choices: readonly string[], doc: string): OptionSpec => ({
  name,
  kind: 'choice',
  value: 'NAME',
  choices,
  doc,
});

/** Rows of the table of layers unless --verbose asks for all. */
const shownLayers = 40;

/** `loomweight learn-bits MODEL --data DATA --out DIR`. */
export const learnBits = defineCommand<LearnReport>({
  name: 'learn-bits',
  summary: 'Train a model so that few bits suffice: bit-widths learned by gradient, for each group of weights.',
  details: [
    'The model is trained on your data while noise of the size of the rounding error stands in for rounding, so that every group of weights finds its ' +
      'own width. --target-bits steers the average; --penalty sets the weight of the size (in MiB) in the loss yourself. ' +
      'The result with the best held-out loss is written, verified and measured.',
    'Data is a folder of NumPy files (<split>-<input>.npy, <split>-label.npy; splits train, val, test), a CSV or Parquet file with a column split, or a ' +
      'text file for language models.',
    'Ctrl-C keeps a checkpoint beside the output; --resume goes on from it, bit for bit on the same provider.',
  ],
  positionals: [{ name: 'MODEL', doc: 'A Hugging Face directory, an ONNX file, or a folder that Loomweight wrote.' }],
  options: [
    { name: 'data', kind: 'text', value: 'DATA', required: true, doc: 'What to train on. Texts may be mixed: a.txt:0.7,b.txt:0.3.' },
    { name: 'columns', kind: 'text', value: 'INPUT=COLUMN', repeated: true, doc: 'Tables only: as in evaluate.' },
    { name: 'validation', kind: 'text', value: 'FILE', doc: 'Held-out text for language models; data sets have the splits val and test.' },
    choice(
      'method',
      describeWeightMethods().map(({ id }) => id),
      `How weights meet their grid. Default: ${learnDefaults.method}. 'loomweight methods' describes them.`,
    ),
    number(
      'target-bits',
      `Average bits per weight to reach, side information counted. Default: ${learnDefaults.targetBits}, where the method learns widths.`,
    ),
    number('penalty', 'Weight of the size in MiB in the loss, instead of a target.'),
    ...methodParameters(describeWeightMethods()),
    { name: 'steps', ...wholeNumber, doc: `Steps of training. Default: ${learnDefaults.steps}.` },
    {
      name: 'batch',
      ...wholeNumber,
      doc: `Samples in a step, or windows of text. Default: ${learnDefaults.batch}, ${learnDefaults.textBatch} for text.`,
    },
    { name: 'window', ...wholeNumber, min: 2, doc: `Tokens of a window of text. Default: ${learnDefaults.window}.` },
    number('rate', `Learning rate of the weights. Default: ${learnDefaults.rate}.`),
    number('logit-rate', `Learning rate of the widths. Default: ${learnDefaults.logitRate}.`),
    choice('optimizer', ['adam', 'adamw', 'sgd'], `Default: ${learnDefaults.optimizer}.`),
    number('momentum', 'Of sgd, with Nesterov. Default: 0.9.'),
    number('weight-decay', 'Of adamw and sgd. Default: 0.'),
    choice('schedule', ['constant', 'step', 'cosine'], `How the learning rate falls. Default: ${learnDefaults.schedule}.`),
    { name: 'warmup', ...wholeNumber, min: 0, doc: 'Steps over which the learning rate rises. Default: 0.' },
    number('clip', 'Largest norm of all gradients together. Default: no limit.'),
    choice('loss', ['auto', 'cross-entropy', 'binary', 'mse'], 'auto decides by labels and outputs.'),
    choice('start', ['trained', 'scratch'], "From the model's weights, or from seeded random ones. Default: trained."),
    { name: 'exclude', kind: 'text', value: 'GLOB', repeated: true, doc: 'Tensors that stay float. May be repeated.' },
    number('min-size', `MiB of float32 below which a tensor stays float. Default: ${learnDefaults.minimumSize}.`),
    {
      name: 'float32-rest',
      kind: 'switch',
      doc: 'Keep what stays float at float32 rather than float16. The types of an ONNX model stay: only its numbers are rounded.',
    },
    { name: 'evaluate-every', ...wholeNumber, doc: 'Steps between evaluations on held-out data. Default: a tenth of all.' },
    {
      name: 'format',
      kind: 'text',
      value: 'NAME,...',
      doc: `Files to write, one or more of ${outputFormats.join(', ')}. Default: ${learnDefaults.formats.join(',')}.`,
    },
    outOption,
    { name: 'resume', kind: 'switch', doc: 'Go on from the checkpoint of an interrupted run with the same settings.' },
    { name: 'keep-failed', kind: 'switch', doc: 'Keep the output for inspection when its verification fails.' },
  ],
  examples: [
    'loomweight learn-bits digits-mlp.onnx --data digits-data --target-bits 3 --out out/digits-3bit',
    'loomweight learn-bits loom-base --data train-books.txt --validation held-out.txt --target-bits 4 --steps 1000 --group-size 16 --out out/loom-base-learned',
    'loomweight learn-bits digits-mlp.onnx --data digits-data --method qat --bits 4 --format onnx-packed --out out/digits-qat',
  ],
  run: async ({ arguments: given, terminal }) => runJob(specOf(given, terminal.folder), terminal),
  text: (report, { arguments: given, terminal }) =>
    learnText(report, terminal.verbose, resolve(terminal.folder, given.text('out') as string)),
});

function specOf(given: Arguments, folder: string): LearnSpec {
  const method = findWeightMethod(given.text('method') ?? learnDefaults.method);
  const data = given.text('data') as string;
  const [targetBits, penalty] = [nonNegative(given, 'target-bits'), nonNegative(given, 'penalty')];
  if (targetBits !== undefined && penalty !== undefined)
    throw usageError('--target-bits and --penalty exclude each other. Give one of them.');
  if (!method.learnsWidths && (targetBits !== undefined || penalty !== undefined))
    throw usageError(
      `Method '${method.id}' has fixed widths; --${targetBits === undefined ? 'penalty' : 'target-bits'} belongs to methods that learn them.`,
    );
  const text = isTextData(data);
  for (const name of ['window', 'validation'])
    if (!text && given.has(name)) throw usageError(`--${name} belongs to training on text, but --data names no text file.`);
  const optional: Record<string, unknown> = {
    targetBits,
    penalty,
    steps: given.integer('steps'),
    batch: given.integer('batch'),
    window: given.integer('window'),
    rate: nonNegative(given, 'rate'),
    logitRate: nonNegative(given, 'logit-rate'),
    optimizer: given.text('optimizer'),
    momentum: nonNegative(given, 'momentum'),
    weightDecay: nonNegative(given, 'weight-decay'),
    schedule: given.text('schedule'),
    warmup: given.integer('warmup'),
    clip: nonNegative(given, 'clip'),
    loss: given.text('loss'),
    start: given.text('start'),
    minimumSize: nonNegative(given, 'min-size'),
    evaluateEvery: given.integer('evaluate-every'),
    validation: given.has('validation') ? resolve(folder, given.text('validation') as string) : undefined,
    formats: given.has('format') ? parseFormats(given.text('format') as string) : undefined,
    ...(given.has('exclude') ? { exclude: given.texts('exclude') } : {}),
    ...(given.has('columns') ? { columns: Object.fromEntries(given.texts('columns').map(parseColumn)) } : {}),
    ...(given.isOn('float32-rest') ? { halfRest: false } : {}),
    ...(given.isOn('resume') ? { resume: true } : {}),
    ...(given.isOn('keep-failed') ? { keepFailed: true } : {}),
    ...given.shared,
  };
  return completeLearnSpec(
    {
      model: resolve(folder, given.positional(0)),
      data: text
        ? data
            .split(',')
            .map((part) => resolve(folder, part.trim()))
            .join(',')
        : resolve(folder, data),
      out: resolve(folder, given.text('out') as string),
      method: method.id,
      parameters: givenParameters(method, describeWeightMethods(), given),
      ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
    },
    method.learnsWidths,
  );
}

/** A number of 0 or more. */
function nonNegative(given: Arguments, name: string): number | undefined {
  const text = given.text(name);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0)
    throw usageError(`--${name} must be a number of 0 or more, got '${text}'.`, { flag: name });
  return value;
}

function parseFormats(text: string): readonly OutputFormat[] {
  const formats = text.split(',').map((part) => part.trim());
  return formats.map((name, index) => {
    const format = outputFormats.find((candidate) => candidate === name);
    if (format === undefined)
      throw usageError(`--format must name one or more of ${outputFormats.join(', ')}, got '${name}'.`, { flag: 'format' });
    if (formats.indexOf(name) !== index) throw usageError(`--format names ${name} twice. Name each once.`, { flag: 'format' });
    return format;
  });
}

/** Layers with their widths, then sizes, quality, verification and where the files are. */
export function learnText(report: LearnReport, verbose: boolean, out?: string): string {
  const { layers, sizes, training, quality } = report;
  const rows = verbose || layers.length <= shownLayers ? layers : [...layers].sort((a, b) => b.weights - a.weights).slice(0, 10);
  const table = formatTable(
    [
      { title: 'Layer' },
      { title: 'Shape' },
      { title: 'Bits', align: 'right' },
      { title: 'Widths' },
      { title: 'Bits/weight', align: 'right' },
      { title: 'Before', align: 'right' },
      { title: 'After', align: 'right' },
    ],
    rows.map((layer) => [
      layer.name,
      layer.shape.join(' x '),
      formatNumber(layer.bits, 3),
      (layer.histogram?.bits ?? [])
        .map((bits, index) => `${bits}:${Math.round((100 * (layer.histogram?.weights[index] ?? 0)) / layer.weights)}%`)
        .join(' '),
      layer.bitsPerWeight.toFixed(2),
      formatBytes(layer.bytesBefore),
      formatBytes(layer.bytesAfter),
    ]),
  );
  const left = rows.length < layers.length ? `... the ${rows.length} largest of ${layers.length} layers (--verbose shows all).\n` : '';
  const formats = Object.entries(sizes.onDisk).map(([format, bytes]) => {
    const measured = quality.byFormat?.[format];
    return `${format}: ${formatBytes(bytes)} (${(sizes.float32 / bytes).toFixed(1)} times smaller than float32)${measured ? `, ${qualityText(measured)}` : ''}`;
  });
  return `${table}${left}\n${formatPairs([
    ['Method', report.method],
    ['Bits per weight', `${formatNumber(report.bitsPerWeight)} over ${layers.length} layers`],
    ['Size by formula', `${formatBytes(sizes.true)} with whole widths, ${formatBytes(sizes.estimated)} before rounding them`],
    ['Deflated', sizes.deflated === undefined ? undefined : formatBytes(sizes.deflated)],
    ['Written', formats.join('\n')],
    ['Before', quality.before && qualityText(quality.before)],
    ['After', quality.after && qualityText(quality.after)],
    [
      'Training',
      `${training.steps} steps, ${formatNumber(training.stepsPerSecond, 3)} a second, best at step ${training.bestStep}` +
        `${training.resumedFrom === undefined ? '' : `, resumed at step ${training.resumedFrom}`}\n${training.modeReason}`,
    ],
    ['Verification', verificationText(report.verification)],
    ['Speed', report.latency?.summary],
    ['Ran on', `${report.environment.provider}, ${report.environment.threads} threads: ${report.environment.providerReason}`],
    ['Notes', report.notes.join('\n')],
    ['Time', `${formatSeconds(report.seconds)}, ${formatBytes(report.peakRssBytes)} memory at most`],
    ['Written to', out],
  ])}`;
}

function qualityText({ metric, value, loss, samples }: QualityReport): string {
  return `${metric} ${formatNumber(value, 5)} (loss ${formatNumber(loss, 4)}, ${samples} ${metric === 'perplexity' ? 'tokens' : 'samples'})`;
}
