import { modelName } from '../../common/modelName';
import { formatPairs, formatTable } from '../../common/textTable';
import { formatBytes, formatCount, formatNumber, formatSeconds } from '../../common/units';
import type { ReportPageView, ReportSection } from '../../protocol/panels/reportPage';
import type { CompressReport } from '../../protocol/report';
import { changeWarning } from '../../protocol/verdict';
import { filesTable, layerTable, runFacts, scopes, verdictBadge, verificationChecks } from './modelDocument';
import { verificationText } from './verificationText';

/** Rows of the table of layers unless all are requested. */
const shownLayers = 40;

/** Layers with their errors, then sizes, verification, speed and where the files are. */
export function compressText(report: CompressReport, { verbose, out }: { readonly verbose: boolean; readonly out?: string }): string {
  const { layers } = report;
  const byError = [...layers].sort((a, b) => b.relativeError - a.relativeError);
  const rows = verbose || layers.length <= shownLayers ? layers : byError.slice(0, 10);
  const table = formatTable(
    [
      { title: 'Layer' },
      { title: 'Shape' },
      { title: 'Bits', align: 'right' },
      { title: 'Bits/weight', align: 'right' },
      { title: 'Relative error', align: 'right' },
      { title: 'Before', align: 'right' },
      { title: 'After', align: 'right' },
    ],
    rows.map((layer) => [
      layer.name,
      layer.shape.join(' x '),
      String(layer.bits),
      layer.bitsPerWeight.toFixed(2),
      layer.relativeError.toFixed(4),
      formatBytes(layer.bytesBefore),
      formatBytes(layer.bytesAfter),
    ]),
  );
  const left =
    rows.length < layers.length ? `... the ${rows.length} layers with the largest error of ${layers.length} (--verbose shows all).\n` : '';
  const share = report.bytesBefore > 0 ? ` (${((100 * report.bytesAfter) / report.bytesBefore).toFixed(0)} %)` : '';
  const loaded =
    report.loadedBytes === undefined || report.loadedBytes === report.bytesAfter
      ? undefined
      : `${formatBytes(report.loadedBytes)} in memory once loaded`;
  // A conversion has no layers to list.
  return `${layers.length === 0 ? '' : `${table}${left}\n`}${formatPairs([
    ['Method', `${report.method}${settingsText(report)}`],
    ['Size', `${formatBytes(report.bytesBefore)} -> ${formatBytes(report.bytesAfter)}${share}`],
    ['Loaded size', loaded],
    [
      'Bits per weight',
      `${formatNumber(report.bitsPerWeight)} over ${layers.length === 0 ? 'all weights, none compressed' : `${layers.length} compressed layers`}`,
    ],
    ['Verification', verificationText(report.verification)],
    ['Speed', report.latency?.summary],
    ['Ran on', `${report.environment.provider}, ${report.environment.threads} threads: ${report.environment.providerReason}`],
    ['Notes', report.notes],
    ['Time', `${formatSeconds(report.seconds)}, ${formatBytes(report.peakRssBytes)} of memory at peak`],
    ['Written to', out],
    ['Files', report.outputs.map(({ path, bytes }) => `${path} (${formatBytes(bytes)})${path === report.primary ? ', primary' : ''}`)],
  ])}`;
}

/** `bits 4, groupSize 32`, switches only where they are on. */
function settingsText({ settings }: CompressReport): string {
  const words = Object.entries(settings)
    .filter(([, value]) => typeof value === 'number' || typeof value === 'string' || value === true)
    .map(([key, value]) => (value === true ? key : `${key} ${String(value)}`));
  return words.length === 0 ? '' : ` (${words.join(', ')})`;
}

/** A compression as a document. */
export function compressPage(report: CompressReport): ReportPageView {
  const { verification, latency } = report;
  const ratio = report.bytesAfter > 0 ? report.bytesBefore / report.bytesAfter : 0;
  const warning = changeWarning(verification);
  const sections: ReportSection[] = [
    ...(warning === undefined ? [] : [{ kind: 'text' as const, heading: 'Changed a lot', paragraphs: [warning] }]),
    { kind: 'checks', heading: `Verification: ${scopes[verification.scope]}`, items: verificationChecks(verification) },
  ];
  if (latency) sections.push({ kind: 'text', heading: 'Speed on this machine', paragraphs: [latency.summary] });
  if (report.notes.length > 0) sections.push({ kind: 'list', heading: 'Notes', items: report.notes });
  sections.push(layerTable(report.layers), filesTable(report.outputs), {
    kind: 'facts',
    heading: 'Settings',
    rows: [
      { label: 'Source', value: `${report.source.path} (${report.source.architecture})` },
      { label: 'Method', value: `${report.method}, written as ${report.format}` },
      ...runFacts(report),
    ],
  });
  return {
    title: modelName(report.source.path),
    subtitle: `Compressed with ${report.method}, ${report.format}`,
    verdict: verdictBadge(verification),
    figures: [
      { label: 'Size', value: formatBytes(report.bytesAfter), note: `from ${formatBytes(report.bytesBefore)}` },
      { label: 'Smaller by', value: `${formatNumber(ratio, 3)} ×` },
      {
        label: 'Bits per weight',
        value: formatNumber(report.bitsPerWeight, 3),
        note: `${formatCount(report.parameterCount)} parameters`,
      },
      ...(report.loadedBytes === undefined ? [] : [{ label: 'Loaded size', value: formatBytes(report.loadedBytes), note: 'in memory' }]),
    ],
    sections,
    actions: [
      { id: 'bitAllocation', label: 'Bit Allocation' },
      { id: 'revealOutput', label: 'Reveal Output' },
    ],
  };
}
