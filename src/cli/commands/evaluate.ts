import { resolve } from 'node:path';
import { formatBytes, formatCount, formatNumber, formatSeconds } from '../../common/units';
import type { EvaluateReport } from '../../protocol/report';
import { usageError } from '../arguments';
import { defineCommand } from '../command';
import { runJob } from '../runJob';
import { formatPairs } from '../table';

const wholeNumber = { kind: 'integer', value: 'N', min: 1, max: 2 ** 31 - 1 } as const;

/** `loomweight evaluate MODEL --text FILE | --data DATA`. */
export const evaluate = defineCommand<EvaluateReport>({
  name: 'evaluate',
  summary: 'Measure a model: perplexity on text, accuracy or AUC on data.',
  details: [
    'With --text the file is encoded whole, without special tokens, and cut into windows; a shorter rest is dropped. For each ' +
      'window the model reads the start token and all but the last token, and predicts every token of the window. The value is ' +
      'exp of the mean negative log-likelihood. Without a start token the first token of a window is not scored.',
    'With --data the model is an ONNX graph, and its inputs come from arrays named <split>-<input>.npy with <split>-label.npy beside ' +
      'them, or from a table with a header: accuracy for class labels, AUC for a single logit, each with the mean loss.',
  ],
  positionals: [{ name: 'MODEL', doc: 'A Hugging Face directory, a folder that Loomweight wrote, or an ONNX file.' }],
  options: [
    { name: 'text', kind: 'text', value: 'FILE', doc: 'A UTF-8 text file: perplexity.' },
    { name: 'window', ...wholeNumber, min: 2, doc: 'Tokens of a window. Default: the smaller of the context and 2048.' },
    { name: 'limit', ...wholeNumber, doc: 'Only the first N windows.' },
    { name: 'data', kind: 'text', value: 'DATA', doc: 'A folder of NumPy files, a CSV or a Parquet file: accuracy or AUC.' },
    { name: 'split', kind: 'text', value: 'NAME', doc: 'Which part of the data. Default: test.' },
    {
      name: 'columns',
      kind: 'text',
      value: 'INPUT=COLUMN',
      repeated: true,
      doc:
        'Tables only: which column (or columns, by glob) makes an input of the graph. INPUT may also be label, or split for a column ' +
        'that names the part. May be repeated. Default: the columns of the same names.',
    },
    { name: 'batch', ...wholeNumber, doc: 'Samples of one run on data. The value does not depend on it.' },
  ],
  examples: [
    'loomweight evaluate loom-base --text eval-play.txt --window 256',
    'loomweight evaluate out/loom-base-4bit --text eval-play.txt --window 256 --limit 32',
    'loomweight evaluate digits.onnx --data digits-data --split val',
    "loomweight evaluate digits.onnx --data digits.csv --columns 'input=pixel_*' --columns label=digit",
  ],
  run: ({ arguments: given, terminal }) => {
    const text = given.text('text');
    const data = given.text('data');
    if (text === undefined && data === undefined)
      throw usageError("'evaluate' needs --text FILE or --data DATA. See 'loomweight evaluate --help'.");
    if (text !== undefined && data !== undefined) throw usageError('--text and --data exclude each other. Give one of them.');
    const wrong = (text === undefined ? ['window', 'limit'] : ['split', 'columns', 'batch']).find((name) => given.has(name));
    if (wrong !== undefined)
      throw usageError(
        `--${wrong} belongs to ${text === undefined ? '--text' : '--data'}, but ${text === undefined ? '--data' : '--text'} was given.`,
      );
    const [window, limit, batch] = ['window', 'limit', 'batch'].map((name) => given.integer(name));
    const split = given.text('split');
    const columns = given.texts('columns').map(parseColumn);
    return runJob(
      {
        kind: 'evaluate',
        model: resolve(terminal.folder, given.positional(0)),
        ...(text === undefined ? {} : { text: resolve(terminal.folder, text) }),
        ...(data === undefined ? {} : { data: resolve(terminal.folder, data) }),
        ...(window === undefined ? {} : { window }),
        ...(limit === undefined ? {} : { limit }),
        ...(split === undefined ? {} : { split }),
        ...(columns.length === 0 ? {} : { columns: Object.fromEntries(columns) }),
        ...(batch === undefined ? {} : { batch }),
        ...given.shared,
      },
      terminal,
    );
  },
  text: (report) => evaluateText(report),
});

/** `pixels=p_*`: the graph's input, then the column. A column's name may hold `=`. */
export function parseColumn(text: string): readonly [input: string, column: string] {
  const cut = text.indexOf('=');
  if (cut <= 0 || cut === text.length - 1) throw usageError(`--columns must be INPUT=COLUMN, got '${text}'.`, { flag: 'columns' });
  return [text.slice(0, cut), text.slice(cut + 1)];
}

const metricNames = { perplexity: 'Perplexity', accuracy: 'Accuracy', auc: 'AUC' } as const;

/** The value first, then what it rests on. */
export function evaluateText(report: EvaluateReport): string {
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
    ['Choices', report.choices.join('\n')],
    ['Ran on', `${environment.provider}, ${environment.threads} threads, ${environment.runtime}`],
    ['Because', environment.providerReason],
    ['Time', `${formatSeconds(report.seconds)}${rate}`],
    ['Memory', `${formatBytes(report.peakRssBytes)} at most`],
  ]);
}

/** Perplexities as people compare them: three decimals, fewer for large ones. */
function formatFixed(value: number): string {
  return value < 1000 ? value.toFixed(3) : formatNumber(value, 6);
}
