import { printable } from '../../common/shown';
import { formatPairs, formatTable } from '../../common/textTable';
import { formatBytes, formatCount, formatNumber } from '../../common/units';
import { modelFormatNames } from '../../protocol/model';
import type { ModelSummary, TensorStatistics, TensorSummary } from '../../protocol/model';

/** What `inspect --json` prints: the summary, with statistics by tensor where they were asked for. */
export interface Inspection extends Omit<ModelSummary, 'tensors'> {
  readonly tensors: readonly (TensorSummary & { readonly statistics?: TensorStatistics })[];
}

/** Rows of the table unless --verbose or a glob asks for more. */
const shownTensors = 400;

/** What the model is, then its tensors, then what was odd. */
export function summaryText(report: Inspection, options: { readonly verbose: boolean }): string {
  const { graph, compressed } = report;
  const pairs = formatPairs([
    ['Model', report.name],
    ['Format', modelFormatNames[report.format]],
    ['Architecture', report.architecture],
    ['Parameters', formatCount(report.parameters)],
    ['Size', `${formatBytes(report.bytes)} (${formatCount(report.bytes)} bytes of weights)`],
    ['Types', dtypeText(report)],
    ['Compressed', compressed && `${compressed.method}, ${formatNumber(compressed.bitsPerWeight)} bits per weight`],
    [
      'Graph',
      graph &&
        `${formatCount(graph.nodes)} nodes, opset ${Object.entries(graph.opset)
          .map(([domain, version]) => `${domain || 'ai.onnx'} ${version}`)
          .join(', ')}`,
    ],
    ['Inputs', graph && graph.inputs.map(portText)],
    ['Outputs', graph && graph.outputs.map(portText)],
    ['Operators', graph && operatorText(graph.operators)],
  ]);
  const rows = options.verbose ? report.tensors : report.tensors.slice(0, shownTensors);
  const left = report.tensors.length - rows.length;
  const diagnostics = report.diagnostics.map(
    ({ severity, message, offset, subject }) =>
      `${severity}: ${printable(message)}${subject === undefined ? '' : ` (${printable(subject)})`}${offset === undefined ? '' : ` at byte ${offset}`}\n`,
  );
  return (
    `${pairs}\n${tensorTable(rows)}` +
    (left > 0 ? `... and ${formatCount(left)} more (--verbose shows all, --tensor GLOB selects).\n` : '') +
    (rows.length === 1 && rows[0]?.statistics ? `\n${histogramText(rows[0].statistics)}` : '') +
    (diagnostics.length > 0 ? `\n${diagnostics.join('')}` : '')
  );
}

function tensorTable(rows: Inspection['tensors']): string {
  const withStatistics = rows.some(({ statistics }) => statistics !== undefined);
  const number = (value: number | undefined) => (value === undefined ? '' : formatNumber(value));
  return formatTable(
    [
      { title: 'Tensor' },
      { title: 'Type' },
      { title: 'Shape' },
      { title: 'Size', align: 'right' },
      ...(withStatistics ? (['Minimum', 'Maximum', 'Mean', 'Deviation', 'Zeros', 'Not finite'] as const) : []).map((title) => ({
        title,
        align: 'right' as const,
      })),
    ],
    rows.map(({ name, dtype, shape, bytes, statistics }) => [
      name,
      dtype,
      shape.length === 0 ? 'scalar' : shape.join(' x '),
      formatBytes(bytes),
      ...(withStatistics
        ? [
            number(statistics?.minimum),
            number(statistics?.maximum),
            number(statistics?.mean),
            number(statistics?.standardDeviation),
            statistics ? formatCount(statistics.zeros) : '',
            statistics ? formatCount(statistics.notFinite) : '',
          ]
        : []),
    ]),
  );
}

/** Weights by type: `float16 38 tensors, 7.54 MiB`. */
function dtypeText({ tensors }: Inspection): readonly string[] {
  const sums = new Map<string, { count: number; bytes: number }>();
  for (const { dtype, bytes } of tensors) {
    const sum = sums.get(dtype) ?? { count: 0, bytes: 0 };
    sums.set(dtype, { count: sum.count + 1, bytes: sum.bytes + bytes });
  }
  return [...sums]
    .sort((a, b) => b[1].bytes - a[1].bytes)
    .map(([dtype, { count, bytes }]) => `${dtype}: ${formatCount(count)} ${count === 1 ? 'tensor' : 'tensors'}, ${formatBytes(bytes)}`);
}

function portText({
  name,
  dtype,
  shape,
}: {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly (number | string)[];
}): string {
  return `${name} ${dtype} [${shape.join(', ')}]`;
}

function operatorText(operators: Readonly<Record<string, number>>): string {
  const list = Object.entries(operators).sort((a, b) => b[1] - a[1]);
  const shown = list.slice(0, 12).map(([name, count]) => `${name} ${count}`);
  return shown.join(', ') + (list.length > shown.length ? `, ${list.length - shown.length} more kinds` : '');
}

/** Bars lying on their side, one line a bin, scaled to the fullest. */
function histogramText({ histogram }: TensorStatistics): string {
  const most = Math.max(1, ...histogram.counts);
  const step = (histogram.maximum - histogram.minimum) / histogram.counts.length;
  return formatTable(
    [{ title: 'From', align: 'right' }, { title: 'Values', align: 'right' }, { title: '' }],
    histogram.counts.map((count, index) => [
      formatNumber(histogram.minimum + index * step, 3),
      formatCount(count),
      '#'.repeat(Math.round((50 * count) / most)),
    ]),
  );
}
