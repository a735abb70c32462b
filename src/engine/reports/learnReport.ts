import { metricNames, metricText } from '../../common/metricText';
import { modelName } from '../../common/modelName';
import { formatPairs, formatTable } from '../../common/textTable';
import { formatBytes, formatCount, formatNumber, formatSeconds } from '../../common/units';
import type { ReportCell, ReportPageView, ReportSection } from '../../protocol/panels/reportPage';
import type { LearnReport, QualityReport } from '../../protocol/report';
import { filesTable, layerTable, numberCell, runFacts, scopes, verdictBadge, verificationChecks } from './modelDocument';
import { verificationText } from './verificationText';

/** Rows of the table of layers unless all are requested. */
const shownLayers = 40;

/** Layers with their widths, then sizes, quality, verification and where the files are. */
export function learnText(report: LearnReport, { verbose, out }: { readonly verbose: boolean; readonly out?: string }): string {
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
    ['Size by formula', `${formatBytes(sizes.true)} with integer widths, ${formatBytes(sizes.estimated)} before rounding them`],
    ['Deflated', sizes.deflated === undefined ? undefined : formatBytes(sizes.deflated)],
    ['Written', formats],
    ['Before', quality.before && qualityText(quality.before)],
    ['After', quality.after && qualityText(quality.after)],
    [
      'Training',
      `${training.steps} steps, ${formatNumber(training.stepsPerSecond, 3)} per second, best at step ${training.bestStep}` +
        `${training.resumedFrom === undefined ? '' : `, resumed at step ${training.resumedFrom}`}` +
        `${training.threads === undefined ? '' : `, with ${training.threads.join(', then ')} threads`}\n${training.modeReason}`,
    ],
    ['Verification', verificationText(report.verification)],
    ['Speed', report.latency?.summary],
    ['Ran on', `${report.environment.provider}, ${report.environment.threads} threads: ${report.environment.providerReason}`],
    ['Notes', report.notes],
    ['Time', `${formatSeconds(report.seconds)}, ${formatBytes(report.peakRssBytes)} of memory at peak`],
    ['Written to', out],
  ])}`;
}

function qualityText({ metric, value, loss, samples }: QualityReport): string {
  return `${metric} ${formatNumber(value, 5)} (loss ${formatNumber(loss, 4)}, ${samples} ${metric === 'perplexity' ? 'tokens' : 'samples'})`;
}

/** Learned widths as a document: what it costs in quality first, then sizes, training, layers. */
export function learnPage(report: LearnReport): ReportPageView {
  const { verification, quality, sizes, training } = report;
  const sections: ReportSection[] = [
    qualityTable(report),
    { kind: 'checks', heading: `Verification: ${scopes[verification.scope]}`, items: verificationChecks(verification) },
  ];
  if (report.latency) sections.push({ kind: 'text', heading: 'Speed on this machine', paragraphs: [report.latency.summary] });
  if (report.notes.length > 0) sections.push({ kind: 'list', heading: 'Notes', items: report.notes });
  sections.push(
    {
      kind: 'facts',
      heading: 'Sizes of the whole model',
      rows: [
        { label: 'float32', value: formatBytes(sizes.float32) },
        { label: 'By formula, before rounding widths', value: formatBytes(sizes.estimated) },
        { label: 'By formula', value: formatBytes(sizes.true) },
        ...Object.entries(sizes.onDisk).map(([format, bytes]) => ({
          label: `On disk, ${format}`,
          value: `${formatBytes(bytes)}, ${formatNumber(sizes.float32 / Math.max(1, bytes), 3)} times smaller than float32`,
        })),
        ...(sizes.deflated === undefined ? [] : [{ label: 'Codes after deflate', value: formatBytes(sizes.deflated) }]),
      ],
    },
    {
      kind: 'facts',
      heading: 'Training',
      rows: [
        { label: 'Steps', value: `${formatCount(training.steps)}, best at step ${formatCount(training.bestStep)}` },
        ...(training.resumedFrom === undefined ? [] : [{ label: 'Resumed at step', value: formatCount(training.resumedFrom) }]),
        ...(training.threads === undefined ? [] : [{ label: 'Threads in turn', value: training.threads.join(', then ') }]),
        { label: 'Speed', value: `${formatNumber(training.stepsPerSecond, 3)} steps/s` },
        { label: 'Way', value: training.modeReason },
      ],
    },
    {
      kind: 'table',
      heading: 'Evaluations with rounded weights',
      columns: [
        { title: 'Step', align: 'right' },
        { title: 'Bits per weight', align: 'right' },
        { title: 'Loss', align: 'right' },
        { title: 'Value', align: 'right' },
        { title: 'Measure', align: 'left' },
      ],
      rows: training.evaluations.map(({ step, loss, value, metric, bitsPerWeight }) => [
        numberCell(step, formatCount),
        numberCell(bitsPerWeight, (bits) => formatNumber(bits, 3)),
        numberCell(loss, (number) => formatNumber(number, 4)),
        numberCell(value, (number) => metricText(metric, number)),
        { text: metric },
      ]),
    },
    layerTable(report.layers),
    filesTable(report.outputs),
    {
      kind: 'facts',
      heading: 'Settings',
      rows: [
        { label: 'Source', value: `${report.source.path} (${report.source.architecture})` },
        { label: 'Method', value: `${report.method}, written as ${report.formats.join(', ')}` },
        ...runFacts(report),
      ],
    },
  );
  return {
    title: modelName(report.source.path),
    subtitle: `Bits learned with ${report.method}, ${report.formats.join(', ')}`,
    verdict: verdictBadge(verification),
    figures: [
      { label: 'Bits per weight', value: formatNumber(report.bitsPerWeight, 3), note: `${formatCount(report.parameterCount)} parameters` },
      { label: 'Size', value: formatBytes(report.bytesAfter), note: `from ${formatBytes(report.bytesBefore)}` },
      ...(quality.after
        ? [
            {
              label: metricNames[quality.after.metric],
              value: metricText(quality.after.metric, quality.after.value),
              ...(quality.before && { note: `${metricText(quality.before.metric, quality.before.value)} before` }),
            },
          ]
        : []),
    ],
    sections,
    actions: [
      { id: 'bitAllocation', label: 'Bit Allocation' },
      { id: 'curves', label: 'Curves' },
      { id: 'revealOutput', label: 'Reveal Output' },
    ],
  };
}

function qualityTable({ quality }: LearnReport): ReportSection {
  const row = (name: string, measured: QualityReport | undefined): readonly (readonly ReportCell[])[] =>
    measured
      ? [
          [
            { text: name },
            { text: metricNames[measured.metric] },
            numberCell(measured.value, (value) => metricText(measured.metric, value)),
            numberCell(measured.loss, (value) => formatNumber(value, 4)),
            numberCell(measured.samples, formatCount),
          ],
        ]
      : [];
  return {
    kind: 'table',
    heading: 'Quality on held-out data',
    columns: [
      { title: 'Model', align: 'left' },
      { title: 'Measure', align: 'left' },
      { title: 'Value', align: 'right' },
      { title: 'Loss', align: 'right' },
      { title: 'Samples or tokens', align: 'right' },
    ],
    rows: [
      ...row('Before, float', quality.before),
      ...row('Learned widths', quality.after),
      ...Object.entries(quality.byFormat ?? {}).flatMap(([format, measured]) => row(`As ${format}`, measured)),
    ],
  };
}
