import { resolve } from 'node:path';
import { formatBytes, formatCount, formatNumber, formatSeconds } from '../../common/units';
import type { CompareReport, TensorComparison } from '../../protocol/report';
import { defineCommand } from '../command';
import { runJob } from '../runJob';
import { formatTable } from '../table';

/** Rows of the table unless --verbose asks for all. */
const shownRows = 40;

/** `loomweight compare A B`. */
export const compare = defineCommand<CompareReport>({
  name: 'compare',
  summary: 'Compare two models tensor by tensor: cosine, signal to noise, largest error.',
  details: [
    'Tensors are matched by name and read block by block, so models larger than memory can be compared. ' +
      'Values are compared after decoding, so the same weights in two dtypes or formats count as equal where they are.',
  ],
  positionals: [
    { name: 'A', doc: 'The reference: errors are relative to it.' },
    { name: 'B', doc: 'The model to compare with it.' },
  ],
  options: [{ name: 'tensors', kind: 'text', value: 'GLOB', doc: "Only tensors whose name matches, such as '*.mlp.*'." }],
  examples: ['loomweight compare loom-base loom-play', "loomweight compare loom-base out/loom-base-4bit --tensors '*.mlp.*'"],
  run: ({ arguments: given, terminal }) => {
    const tensors = given.text('tensors');
    return runJob(
      {
        kind: 'compare',
        first: resolve(terminal.folder, given.positional(0)),
        second: resolve(terminal.folder, given.positional(1)),
        ...(tensors === undefined ? {} : { tensors }),
        ...given.shared,
      },
      terminal,
    );
  },
  text: (report, { terminal }) => compareText(report, terminal.verbose),
});

/** The differing tensors, largest relative error first, then the counts. */
export function compareText(report: CompareReport, verbose: boolean): string {
  const differing = report.tensors
    .filter((tensor) => tensor.status !== 'equal')
    .sort((a, b) => (b.relativeError ?? Infinity) - (a.relativeError ?? Infinity));
  const rows = verbose ? differing : differing.slice(0, shownRows);
  const table = formatTable(
    [
      { title: 'Tensor' },
      { title: 'Status' },
      { title: 'Cosine', align: 'right' },
      { title: 'SQNR dB', align: 'right' },
      { title: 'Largest error', align: 'right' },
      { title: 'Relative error', align: 'right' },
      { title: 'Note' },
    ],
    rows.map(comparisonRow),
  );
  const left = differing.length - rows.length;
  const counts =
    `${formatCount(report.equal)} equal, ${formatCount(report.changed)} changed, ${formatCount(report.missing)} in one model only or of another shape` +
    ` (${formatSeconds(report.seconds)}, ${formatBytes(report.peakRssBytes)} memory)`;
  return (
    (rows.length > 0 ? `${table}` : '') +
    (left > 0 ? `... and ${formatCount(left)} more (--verbose shows all).\n` : '') +
    (rows.length > 0 ? '\n' : '') +
    `${[counts, ...(report.notes ?? [])].join('\n')}\n`
  );
}

function comparisonRow(tensor: TensorComparison): readonly string[] {
  const number = (value: number | undefined, digits?: number) => (value === undefined ? '' : formatNumber(value, digits));
  return [
    tensor.name,
    tensor.status.replaceAll('-', ' '),
    tensor.cosine === undefined ? '' : tensor.cosine.toFixed(6),
    tensor.sqnr === undefined ? '' : Number.isFinite(tensor.sqnr) ? tensor.sqnr.toFixed(1) : String(tensor.sqnr),
    number(tensor.largestError),
    number(tensor.relativeError),
    tensor.note ?? '',
  ];
}
