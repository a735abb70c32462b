import path from 'node:path';
import { modelName } from '../../common/modelName';
import { parseTemperatures, temperatureForms } from '../../common/temperatureSchedule';
import { formatPairs } from '../../common/textTable';
import { formatBytes, formatCount, formatNumber, formatSeconds } from '../../common/units';
import { calibrationSources, type CalibrateReport, type CalibrateSpec } from '../../protocol/calibration';
import { modelField, wholeNumber, type FieldProblem, type FieldWords } from '../../protocol/fields';
import type { ReportPageView } from '../../protocol/panels/reportPage';
import { environmentFacts } from '../reports/modelDocument';
import { samplingFields } from './samplingFields';
import type { ComputingKind, FieldValues } from './stepKind';

/** Of the file that is written. */
const ending = '.jsonl';
/** As many as the published studies take. */
const defaultSamples = 128;
/** Samples that are shown without --verbose. */
const shownSamples = 5;

/** Makes calibration samples. */
export const calibrateKind: ComputingKind<CalibrateSpec, CalibrateReport> = {
  id: 'calibrate',
  label: 'Generate Calibration Samples',
  summary: 'Lets a language model write the text that a compression is calibrated on.',
  command: {
    summary: 'Let a language model write its own calibration text.',
    details: [
      'With --source self every sample is written by the model from its start token alone; after an end token the next document starts in ' +
        'the same sample. With --source random the tokens are uniform, as a control. With a text, samples are pieces of it, or with --prefix ' +
        'continuations of their first tokens.',
      'The file has one sample a line: text, token ids, source, seed, temperature, and the SHA-256 of the weights. It contains no times and ' +
        'no paths: on the same machine, the same model, settings, seed and provider give the same file.',
    ],
    examples: [
      'loomweight calibrate loom-base --samples 64 --length 256 --out self.jsonl',
      'loomweight calibrate loom-base --temperature 2:1:16 --seed 7 --out hot.jsonl',
      'loomweight calibrate loom-base --source random --samples 64 --out random.jsonl',
      'loomweight calibrate loom-base --source books.txt --prefix 8 --samples 64 --length 256 --out continued.jsonl',
    ],
  },
  fields: [
    modelField('A Hugging Face directory, a GGUF file, a folder that Loomweight wrote, or an ONNX language model.'),
    {
      key: 'source',
      doc: 'self: the model writes the text. random: uniform random tokens. Or a text file, or JSON lines with a text each. Default: self.',
      type: { kind: 'file', words: calibrationSources },
      flag: { value: 'self|random|FILE' },
    },
    wholeNumber(
      'prefix',
      'With a text: the model continues this many tokens of it, and the most probable 80 % of the samples are kept.',
      1,
    ),
    wholeNumber('samples', `Number of samples. Default: ${defaultSamples}.`, 1, { max: 1_000_000 }),
    wholeNumber('length', 'Tokens of a sample, with the start token. Default: the smaller of the context and 2048.', 2),
    {
      key: 'temperature',
      doc:
        'T, or T0:T1:STEPS for a temperature that goes from T0 to T1 over that many tokens of each document. Several, with commas between, are ' +
        'taken in turn. Default: 1.',
      type: { kind: 'text' },
      flag: { value: 'T0:T1:STEPS' },
    },
    ...samplingFields,
    {
      key: 'out',
      doc: `File to write, relative to this file, with the ending ${ending}.`,
      type: { kind: 'output', file: ending },
      required: true,
      flag: { value: `FILE${ending}`, doc: 'File to write. It must not exist yet.' },
    },
  ],
  check: checkCalibrate,
  complete: (values) => ({
    source: 'self',
    samples: defaultSamples,
    ...(values as Partial<CalibrateSpec> & Pick<CalibrateSpec, 'model' | 'out'>),
  }),

  inputs: ({ model, source }) => [model, ...(isNamed(source) ? [] : [source])],
  outputs: ({ out }) => [out],
  describe: ({ model, source, samples, out }) => ({
    title: `Generate calibration samples with ${modelName(model)}`,
    subtitle: `${isNamed(source) ? source : modelName(source)}, ${formatCount(samples)} samples`,
    output: out,
    opens: 'report',
  }),

  forecast: async (spec) => {
    const { estimateCalibrate } = await import('../calibrate/calibrateModel');
    return estimateCalibrate(spec);
  },
  computes: true,
  run: async (spec, context) => {
    const { calibrateModel } = await import('../calibrate/calibrateModel');
    return calibrateModel(spec, context);
  },

  outcome: ({ samples, tokens }) => `${formatCount(samples)} samples · ${formatCount(tokens)} tokens`,
  text: calibrateText,
  page: calibratePage,
};

/** True for a source that is not a text. */
function isNamed(source: string): boolean {
  return calibrationSources.some((name) => name === source);
}

function checkCalibrate(values: FieldValues, words: FieldWords): readonly FieldProblem[] {
  const { temperature, source = 'self', prefix, out } = values as Partial<CalibrateSpec>;
  const problem = (key: string, message: string): FieldProblem => ({ key, message: `${words.name(key)} ${message}` });
  const writes = source === 'self' || prefix !== undefined;
  const limits = ['temperature', 'topK', 'topP', 'repetitionPenalty'].filter((key) => !writes && values[key] !== undefined);
  return [
    ...(temperature !== undefined && parseTemperatures(temperature) === undefined
      ? [problem('temperature', `must be ${temperatureForms}, with temperatures above 0 and at most 100, got '${temperature}'.`)]
      : []),
    ...(out !== undefined && !out.endsWith(ending)
      ? [problem('out', `must name a file with the ending ${ending}, got '${path.basename(out)}'.`)]
      : []),
    ...(prefix !== undefined && isNamed(source) ? [problem('prefix', `requires a text as ${words.name('source')}.`)] : []),
    ...limits.map((key) => problem(key, 'applies only to what the model writes.')),
  ];
}

/** Figures of a set, with what they mean. */
function statisticsRows({ statistics }: CalibrateReport): readonly { readonly label: string; readonly value: string }[] {
  const { unigramEntropy, distinct, repetition, perplexity, differentTokens, vocabularyCoverage, documents, differentSequences, scripts } =
    statistics;
  const coverage = vocabularyCoverage === undefined ? '' : `, ${percent(vocabularyCoverage)} of the vocabulary`;
  return [
    ...(perplexity === undefined ? [] : [{ label: 'Perplexity', value: `${formatNumber(perplexity, 5)} under the model itself` }]),
    { label: 'Documents', value: formatCount(documents) },
    { label: 'Different tokens', value: `${formatCount(differentTokens)}${coverage}` },
    { label: 'Unigram entropy', value: `${formatNumber(unigramEntropy, 4)} bits per token` },
    { label: 'Distinct n-grams', value: distinct.map((share, index) => `${percent(share)} of length ${index + 1}`).join(', ') },
    { label: 'Repeated 4-grams', value: percent(repetition) },
    ...(scripts.length === 0
      ? []
      : [{ label: 'Scripts', value: scripts.map(({ script, share }) => `${script} ${percent(share)}`).join(', ') }]),
    { label: 'Distinct samples', value: formatCount(differentSequences) },
  ];
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function calibrateText(report: CalibrateReport, { verbose }: { readonly verbose: boolean }): string {
  const { environment, perSample } = report;
  const shown = verbose ? perSample : perSample.slice(0, shownSamples);
  const rest = perSample.length - shown.length;
  return formatPairs([
    ['Samples', `${formatCount(report.samples)} of ${formatCount(report.length)} tokens`],
    ...statisticsRows(report).map(({ label, value }) => [label, value] as const),
    [
      'Begin with',
      [...shown.map(({ beginning }) => beginning.replace(/\s+/g, ' ')), ...(rest > 0 ? [`and ${formatCount(rest)} more`] : [])],
    ],
    ['Choices', report.choices],
    ['File', `${report.out}, ${formatBytes(report.bytes)}`],
    ['Ran on', `${environment.provider}, ${environment.threads} threads, ${environment.runtime}`],
    ['Time', `${formatSeconds(report.seconds)}, ${formatCount(Math.round(report.tokensPerSecond))} tokens/s`],
    ['Memory', `${formatBytes(report.peakRssBytes)} at peak`],
  ]);
}

function calibratePage(report: CalibrateReport, spec: CalibrateSpec | undefined): ReportPageView {
  return {
    title: spec ? modelName(spec.model) : 'Calibration samples',
    subtitle: `Calibration samples, source ${report.source}`,
    figures: [
      { label: 'Samples', value: formatCount(report.samples), note: `${formatCount(report.length)} tokens each` },
      { label: 'Entropy', value: `${formatNumber(report.statistics.unigramEntropy, 4)} bits`, note: 'per token' },
      { label: 'Time', value: formatSeconds(report.seconds), note: `${formatCount(Math.round(report.tokensPerSecond))} tokens/s` },
    ],
    sections: [
      { kind: 'facts', heading: 'Statistics', rows: statisticsRows(report) },
      { kind: 'list', heading: 'Samples begin with', items: report.perSample.slice(0, 4 * shownSamples).map(({ beginning }) => beginning) },
      { kind: 'list', heading: 'Conditions', items: report.choices },
      {
        kind: 'facts',
        heading: 'Environment',
        rows: [...environmentFacts(report.environment), { label: 'Peak memory', value: formatBytes(report.peakRssBytes) }],
      },
    ],
    actions: [],
  };
}
