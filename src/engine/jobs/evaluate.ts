import { metricNames, metricText } from '../../common/metricText';
import { modelName } from '../../common/modelName';
import { formatPairs } from '../../common/textTable';
import { formatBytes, formatCount, formatNumber, formatSeconds } from '../../common/units';
import { choice, modelField, wholeNumber } from '../../protocol/fields';
import { outputReadings, type EvaluateSpec } from '../../protocol/jobs';
import type { ReportPageView } from '../../protocol/panels/reportPage';
import type { EvaluateReport } from '../../protocol/report';
import { environmentFacts } from '../reports/modelDocument';
import type { ComputingKind } from './stepKind';

/** Measures a model on text or data. */
export const evaluateKind: ComputingKind<EvaluateSpec, EvaluateReport> = {
  id: 'evaluate',
  label: 'Evaluate',
  summary: 'Measures a model: perplexity on text, accuracy or AUC on data.',
  command: {
    summary: 'Measure a model: perplexity on text, accuracy or AUC on data.',
    details: [
      'With --text, the whole file is encoded without special tokens and split into windows; a shorter last window is dropped. In each ' +
        'window the model reads the start token and all but the last token, and predicts every token of the window. The value is ' +
        'exp of the mean negative log-likelihood. Without a start token the first token of a window is not scored.',
      'With --data the model is an ONNX graph, and its inputs come from arrays named <split>-<input>.npy with <split>-label.npy beside ' +
        'them, or from a table with a header: accuracy for class labels, AUC for a single logit, each with the mean loss.',
    ],
    examples: [
      'loomweight evaluate loom-base --text eval-play.txt --window 256',
      'loomweight evaluate out/loom-base-4bit --text eval-play.txt --window 256 --limit 32',
      'loomweight evaluate digits.onnx --data digits-data --split val',
      "loomweight evaluate digits.onnx --data digits.csv --columns 'input=pixel_*' --columns label=digit",
    ],
  },
  fields: [
    modelField('A Hugging Face directory, a folder that Loomweight wrote, or an ONNX file.'),
    { key: 'text', doc: 'UTF-8 text file; measures perplexity.', type: { kind: 'file' } },
    wholeNumber('window', 'Tokens per window. Default: the smaller of the context and 2048.', 2),
    wholeNumber('limit', 'Score only this many windows from the start.', 1, { flag: { doc: 'Score only the first N windows.' } }),
    {
      key: 'data',
      doc: 'Folder of NumPy files, or a CSV or Parquet file; measures accuracy or AUC.',
      type: { kind: 'file' },
      flag: { value: 'DATA' },
    },
    { key: 'split', doc: 'Split of the data. Default: test.', type: { kind: 'text' }, flag: { value: 'NAME' } },
    {
      key: 'columns',
      doc: 'Tables only: maps input names, label or split to a column name, or to a glob for several columns.',
      type: { kind: 'columns' },
      flag: {
        doc:
          'Tables only: the column (or columns, by glob) for an input of the graph. INPUT can also be label, or split for a column ' +
          'that names the split. Repeatable. Default: columns named like the inputs.',
      },
    },
    wholeNumber('batch', 'Samples per run on data.', 1, {
      flag: { doc: 'Samples per run on data. Does not affect the value.' },
    }),
    choice(
      'outputs',
      'With data: what the first output holds. auto recognises a softmax or sigmoid at the end of the graph, and rows that sum to 1; anything else is ' +
        'logits. Default: auto.',
      outputReadings,
    ),
  ],
  rules: [
    { rule: 'one', keys: ['text', 'data'], what: 'what to measure the model on.' },
    { rule: 'belongs', keys: ['window', 'limit'], to: 'text' },
    { rule: 'belongs', keys: ['split', 'columns', 'batch', 'outputs'], to: 'data' },
  ],

  inputs: ({ model, text, data }) => [model, text, data].filter((path) => path !== undefined),
  outputs: () => [],
  describe: (spec) => ({ title: `Evaluate ${modelName(spec.model)}`, subtitle: spec.text ?? spec.data ?? '', opens: 'report' }),

  forecast: async (spec, { provider, memoryLimit }) => {
    const { estimateEvaluate } = await import('../evaluate/estimateEvaluate');
    return estimateEvaluate(spec, { provider, memoryLimit });
  },
  computes: true,
  run: async (spec, context) => {
    const { evaluateModel } = await import('../evaluate/evaluateModel');
    return evaluateModel(spec, context);
  },

  outcome: ({ metric, value }) => `${metric} ${formatNumber(value, 5)}`,
  text: evaluateText,
  page: evaluatePage,
};

/** The value first, then what it rests on. */
function evaluateText(report: EvaluateReport): string {
  const { tokens, windows, window, samples, environment } = report;
  const amount =
    tokens === undefined
      ? samples === undefined
        ? undefined
        : `${formatCount(samples)} samples`
      : `${formatCount(tokens)} tokens scored${windows === undefined ? '' : ` in ${formatCount(windows)} windows${window === undefined ? '' : ` of ${formatCount(window)}`}`}`;
  const rate = report.tokensPerSecond === undefined ? '' : `, ${formatCount(Math.round(report.tokensPerSecond))} tokens/s`;
  return formatPairs([
    [metricNames[report.metric], report.metric === 'perplexity' ? formatFixed(report.value) : report.value.toFixed(4)],
    ['Loss', `${formatNumber(report.loss, 6)} nats per ${tokens === undefined ? 'sample' : 'token'}`],
    ['Over', amount],
    ['Choices', report.choices],
    ['Ran on', `${environment.provider}, ${environment.threads} threads, ${environment.runtime}`],
    ['Because', environment.providerReason],
    ['Time', `${formatSeconds(report.seconds)}${rate}`],
    ['Memory', `${formatBytes(report.peakRssBytes)} at peak`],
  ]);
}

/** Perplexities as people compare them: three decimals, fewer for large ones. */
function formatFixed(value: number): string {
  return value < 1000 ? value.toFixed(3) : formatNumber(value, 6);
}

function evaluatePage(report: EvaluateReport, spec: EvaluateSpec | undefined): ReportPageView {
  const counted =
    report.tokens === undefined
      ? { label: 'Samples', value: formatCount(report.samples ?? 0) }
      : { label: 'Tokens', value: formatCount(report.tokens), ...(report.windows !== undefined && { note: `${report.windows} windows` }) };
  return {
    title: spec ? modelName(spec.model) : metricNames[report.metric],
    subtitle: spec ? `Evaluated on ${modelName(spec.text ?? spec.data ?? 'data')}` : 'Evaluated',
    figures: [
      {
        label: metricNames[report.metric],
        value: metricText(report.metric, report.value),
        note: report.metric === 'perplexity' ? 'lower is better' : 'higher is better',
      },
      { label: 'Mean loss', value: formatNumber(report.loss, 5), note: report.tokens === undefined ? 'per sample' : 'nats per token' },
      counted,
      {
        label: 'Time',
        value: formatSeconds(report.seconds),
        ...(report.tokensPerSecond !== undefined && { note: `${formatCount(Math.round(report.tokensPerSecond))} tokens/s` }),
      },
    ],
    sections: [
      { kind: 'list', heading: 'Conditions', items: report.choices.map(sentence) },
      {
        kind: 'facts',
        heading: 'Environment',
        rows: [...environmentFacts(report.environment), { label: 'Peak memory', value: formatBytes(report.peakRssBytes) }],
      },
    ],
    actions: [],
  };
}

/** A choice as the engine words it, as a sentence of a list. */
function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
