import { modelName } from '../../common/modelName';
import { printable } from '../../common/shown';
import { formatTable } from '../../common/textTable';
import { formatBytes, formatCount, formatNumber, formatSeconds } from '../../common/units';
import { modelField, tensorsField } from '../../protocol/fields';
import type { CompareSpec } from '../../protocol/jobs';
import type { ReportPageView } from '../../protocol/panels/reportPage';
import type { CompareReport, TensorComparison } from '../../protocol/report';
import type { TensorContainer } from '../formats/container';
import { numberCell } from '../reports/modelDocument';
import { peakResidentBytes } from '../runtime/peakResidentBytes';
import type { ReadingKind } from './stepKind';

/** Node, our code and a few chunks: streaming keeps it there whatever the models' size. */
const memoryBytes = 150e6;
/** A compressed layer of an ONNX file is decoded whole: codes, their transposed copy and float values for each stored byte of 2-bit codes. */
const decodedForms = 28;
/** Both models are read once and reduced; measured at 400 to 700 MB/s, taken low. */
const bytesPerSecond = 300e6;

/** Rows of the table unless all are requested. */
const shownRows = 40;

/** Compares two models tensor by tensor. */
export const compareKind: ReadingKind<CompareSpec, CompareReport> = {
  id: 'compare',
  label: 'Compare',
  summary: 'Compares two models tensor by tensor.',
  command: {
    summary: 'Compare two models tensor by tensor: cosine, signal to noise, largest error.',
    details: [
      'Tensors are matched by name and read block by block, so models larger than memory can be compared. ' +
        'Values are compared after decoding, so equal weights count as equal even if their dtypes or formats differ.',
    ],
    examples: ['loomweight compare loom-base loom-play', "loomweight compare loom-base out/loom-base-4bit --tensors '*.mlp.*'"],
  },
  fields: [
    modelField('Reference model; errors are relative to it.', { key: 'first', positional: 'A', role: 'Reference model' }),
    modelField('Model to compare with the reference.', { key: 'second', positional: 'B', role: 'Model to compare with the reference' }),
    tensorsField,
  ],

  inputs: ({ first, second }) => [first, second],
  outputs: () => [],
  describe: ({ first, second }) => ({
    title: `Compare ${modelName(first)} and ${modelName(second)}`,
    subtitle: `${first}, ${second}`,
    opens: 'report',
  }),

  forecast: async ({ first, second }) => {
    const { openContainer } = await import('../models/openContainer');
    let bytes = 0;
    let largest = 0;
    for (const model of [first, second]) {
      const container = await openContainer(model, { asHuggingFace: true });
      for (const tensor of container.tensors.values()) {
        bytes += tensor.bytes;
        if (container.format === 'onnx') largest = Math.max(largest, tensor.bytes);
      }
      await container.close();
    }
    return { hostMemoryBytes: memoryBytes + decodedForms * largest, diskBytes: 0, seconds: bytes / bytesPerSecond };
  },
  computes: false,
  run: async (spec, { signal, progress }) => {
    const { openContainer } = await import('../models/openContainer');
    const { compareContainers } = await import('../evaluate/compareModels');
    const { readableOutput } = await import('../outputs/readableOutput');
    const started = performance.now();
    const first = await openContainer(spec.first, { asHuggingFace: true });
    try {
      const second = await openContainer(spec.second, { asHuggingFace: true });
      try {
        const options = spec.tensors === undefined ? {} : { tensors: spec.tensors };
        const views = [await readableOutput(first, second), await readableOutput(second, first)] as const;
        const result = await compareContainers(views[0].container, views[1].container, options, { progress, signal });
        return {
          kind: 'compare',
          first: spec.first,
          second: spec.second,
          ...result,
          notes: [...views.flatMap(({ notes }) => notes), ...foreignNames(first, second, result)],
          seconds: (performance.now() - started) / 1000,
          peakRssBytes: peakResidentBytes(),
        };
      } finally {
        await second.close();
      }
    } finally {
      await first.close();
    }
  },

  outcome: ({ changed, equal }) => `${changed} changed · ${equal} equal`,
  text: compareText,
  page: comparePage,
};

/** Explains what cannot be compared if the models have no name in common. */
function foreignNames(
  first: TensorContainer,
  second: TensorContainer,
  result: Pick<CompareReport, 'equal' | 'changed' | 'tensors'>,
): string[] {
  const differs = result.tensors.some(({ status }) => status === 'shape-differs');
  if (result.equal + result.changed > 0 || differs || result.tensors.length === 0) return [];
  const exported = [first, second].filter(({ format }) => format === 'onnx');
  return [
    'The models have no tensor name in common, so no values could be compared.' +
      (exported.length === 0
        ? ''
        : ` Exporters rename and transpose weights. Only files that Loomweight wrote can be traced back, through the report.json next to them: ${exported
            .map(({ path }) => path)
            .join(' and ')} ${exported.length === 1 ? 'has' : 'have'} no matching report. Compare such models with 'evaluate'.`),
  ];
}

/** The differing tensors, largest relative error first, then the counts. */
function compareText(report: CompareReport, { verbose }: { readonly verbose: boolean }): string {
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
    `${formatCount(report.equal)} equal, ${formatCount(report.changed)} changed, ${formatCount(report.missing)} in one model only or with a different shape` +
    ` (${formatSeconds(report.seconds)}, ${formatBytes(report.peakRssBytes)} memory)`;
  return (
    (rows.length > 0 ? `${table}` : '') +
    (left > 0 ? `... and ${formatCount(left)} more (--verbose shows all).\n` : '') +
    (rows.length > 0 ? '\n' : '') +
    `${[counts, ...(report.notes ?? [])].map(printable).join('\n')}\n`
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

const statusWords: Readonly<Record<TensorComparison['status'], string>> = {
  equal: 'equal',
  changed: 'changed',
  'only-in-first': 'only in the first model',
  'only-in-second': 'only in the second model',
  'shape-differs': 'shape differs',
};

function comparisonVerdict({ equal, changed, missing }: CompareReport): ReportPageView['verdict'] {
  if (equal + changed === 0) return { state: 'neutral', text: 'No tensor in common' };
  if (changed + missing === 0) return { state: 'passed', text: 'Equal' };
  return {
    state: 'neutral',
    text: changed === 0 ? 'Equal where both have a tensor' : `${formatCount(changed)} of ${formatCount(equal + changed)} changed`,
  };
}

function comparePage(report: CompareReport): ReportPageView {
  const worst = [...report.tensors].sort((a, b) => (b.relativeError ?? -1) - (a.relativeError ?? -1));
  return {
    title: `${modelName(report.first)} and ${modelName(report.second)}`,
    subtitle: 'Compared tensor by tensor',
    verdict: comparisonVerdict(report),
    figures: [
      { label: 'Equal', value: formatCount(report.equal) },
      { label: 'Changed', value: formatCount(report.changed) },
      { label: 'In one model only', value: formatCount(report.missing) },
      { label: 'Time', value: formatSeconds(report.seconds) },
    ],
    sections: [
      {
        kind: 'table',
        heading: worst[0]?.relativeError === undefined ? 'Tensors' : 'Tensors, largest error first',
        columns: [
          { title: 'Tensor', align: 'left' },
          { title: 'Result', align: 'left' },
          { title: 'Relative error', align: 'right' },
          { title: 'Largest error', align: 'right' },
          { title: 'Cosine', align: 'right' },
          { title: 'SQNR, dB', align: 'right' },
        ],
        rows: worst.map((tensor) => [
          { text: tensor.name },
          { text: tensor.note ?? statusWords[tensor.status] },
          numberCell(tensor.relativeError, (value) => formatNumber(value, 3)),
          numberCell(tensor.largestError, (value) => formatNumber(value, 3)),
          numberCell(tensor.cosine, (value) => value.toFixed(6)),
          numberCell(tensor.sqnr, (value) => value.toFixed(1)),
        ]),
      },
      ...((report.notes ?? []).length === 0 ? [] : [{ kind: 'list' as const, heading: 'Notes', items: report.notes ?? [] }]),
      {
        kind: 'facts',
        heading: 'Models',
        rows: [
          { label: 'First', value: report.first },
          { label: 'Second', value: report.second },
          { label: 'Peak memory', value: formatBytes(report.peakRssBytes) },
        ],
      },
    ],
    actions: [],
  };
}
