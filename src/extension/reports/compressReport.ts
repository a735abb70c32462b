import { formatBytes, formatCount, formatNumber, formatSeconds } from '../../common/units';
import type { ReportCell, ReportCheck, ReportPageView, ReportSection } from '../../protocol/panels/reportPage';
import type { CompressReport, LayerReport, RunEnvironment, Verification } from '../../protocol/report';
import { histogramText } from '../../common/bitHistogram';
import { modelName } from '../jobs/jobText';
import { providerName } from './providerNames';

const checkNames: Readonly<Record<string, string>> = {
  bytes: 'Written weights decode to what was planned',
  graph: 'The graph is well-formed',
  blocks: 'Each block stays close to the float model',
  'logits-disabled': 'Logits as planned, runtime without optimisation',
  'logits-exact': 'Logits as planned, exact kernels',
  'logits-default': "Logits as planned, the runtime's default kernels",
  'divergence-default': "Predictions as planned, the runtime's default kernels",
  'outputs-disabled': 'Outputs as planned, runtime without optimisation',
  'outputs-exact': 'Outputs as planned, exact kernels',
  'outputs-default': "Outputs as planned, the runtime's default kernels",
};

/** How much of the model a verification ran. */
export const scopes: Readonly<Record<Verification['scope'], string>> = {
  whole: 'the whole model ran',
  blocks: 'blocks ran, the whole model did not fit',
  bytes: 'stored values were compared, nothing was run',
};

/** The check in words. With several output formats its name begins with the format's: `archive: bytes`. */
export function checkTitle(name: string): string {
  const [, format = '', check = name] = /^([\w-]+: )(.*)$/.exec(name) ?? [];
  return `${format}${checkNames[check] ?? check}`;
}

/** A number cell: sorts by value. */
export function numberCell(value: number | undefined, text: (value: number) => string): ReportCell {
  return value === undefined ? { text: '–' } : { text: text(value), order: value };
}

/** The checks of a verification as lines. */
export function verificationChecks(verification: Verification): readonly ReportCheck[] {
  return verification.checks.map(({ name, passed, measured, limit, unit, note }) => ({
    state: passed ? 'passed' : 'failed',
    title: checkTitle(name),
    text: `${formatNumber(measured)} ${unit}, limit ${formatNumber(limit)}`,
    ...(note !== undefined && { advice: note }),
  }));
}

/** Where and with what a job ran. */
export function environmentFacts(environment: RunEnvironment): readonly { readonly label: string; readonly value: string }[] {
  return [
    { label: 'Provider', value: `${providerName(environment.provider)}. ${environment.providerReason}` },
    { label: 'Runtime', value: environment.runtime },
    { label: 'Threads', value: String(environment.threads) },
  ];
}

/** A compression as a document. */
export function compressDocument(report: CompressReport): ReportPageView {
  const { verification, latency } = report;
  const ratio = report.bytesAfter > 0 ? report.bytesBefore / report.bytesAfter : 0;
  const sections: ReportSection[] = [
    { kind: 'checks', heading: `Verification: ${scopes[verification.scope]}`, items: verificationChecks(verification) },
  ];
  if (latency) sections.push({ kind: 'text', heading: 'Speed on this machine', paragraphs: [latency.summary] });
  if (report.notes.length > 0) sections.push({ kind: 'list', heading: 'What to know', items: report.notes });
  sections.push(layerTable(report.layers), filesTable(report.outputs), {
    kind: 'facts',
    heading: 'How it was made',
    rows: [
      { label: 'Source', value: `${report.source.path} (${report.source.architecture})` },
      { label: 'Method', value: `${report.method}, written as ${report.format}` },
      ...runFacts(report),
    ],
  });
  return {
    title: modelName(report.source.path),
    subtitle: `Compressed with ${report.method}, ${report.format}`,
    verdict: verification.passed ? { state: 'passed', text: 'Verified' } : { state: 'failed', text: 'Not verified' },
    figures: [
      { label: 'Size', value: formatBytes(report.bytesAfter), note: `from ${formatBytes(report.bytesBefore)}` },
      { label: 'Smaller by', value: `${formatNumber(ratio, 3)} ×` },
      {
        label: 'Bits per weight',
        value: formatNumber(report.bitsPerWeight, 3),
        note: `${formatCount(report.parameterCount)} parameters`,
      },
      ...(report.loadedBytes === undefined ? [] : [{ label: 'Once loaded', value: formatBytes(report.loadedBytes), note: 'in memory' }]),
    ],
    sections,
    actions: [
      { id: 'bitAllocation', label: 'Bit Allocation' },
      { id: 'revealOutput', label: 'Reveal Output' },
    ],
  };
}

/** Settings, machine, time and memory: the same for every job that writes a model. */
export function runFacts(
  report: Pick<CompressReport, 'settings' | 'environment' | 'seconds' | 'peakRssBytes' | 'seed' | 'version'>,
): readonly { readonly label: string; readonly value: string }[] {
  return [
    ...Object.entries(report.settings).map(([label, value]) => ({ label, value: settingText(value) })),
    ...environmentFacts(report.environment),
    { label: 'Time', value: formatSeconds(report.seconds) },
    { label: 'Peak memory', value: formatBytes(report.peakRssBytes) },
    { label: 'Seed', value: String(report.seed) },
    { label: 'Version', value: report.version },
  ];
}

/** Layers with their widths; with how many weights have which width where a layer has several. */
export function layerTable(layers: readonly LayerReport[]): ReportSection {
  const mixed = layers.some(({ histogram }) => histogram !== undefined);
  return {
    kind: 'table',
    heading: 'Layers',
    columns: [
      { title: 'Layer', align: 'left' },
      { title: 'Shape', align: 'right' },
      { title: 'Bits', align: 'right' },
      ...(mixed ? [{ title: 'Widths', align: 'left' as const }] : []),
      { title: 'Bits per weight', align: 'right' },
      { title: 'Relative error', align: 'right' },
      { title: 'After', align: 'right' },
    ],
    rows: layers.map((layer) => [
      { text: layer.name },
      { text: layer.shape.join(' × '), order: layer.weights },
      numberCell(layer.bits, (value) => formatNumber(value, 3)),
      ...(mixed ? [{ text: layer.histogram ? histogramText(layer.histogram) : '–' }] : []),
      numberCell(layer.bitsPerWeight, (value) => value.toFixed(2)),
      numberCell(layer.relativeError, (value) => formatNumber(value, 3)),
      numberCell(layer.bytesAfter, formatBytes),
    ]),
  };
}

/** What was written. */
export function filesTable(outputs: CompressReport['outputs']): ReportSection {
  return {
    kind: 'table',
    heading: 'Files',
    columns: [
      { title: 'File', align: 'left' },
      { title: 'Size', align: 'right' },
    ],
    rows: outputs.map(({ path, bytes }) => [{ text: path }, numberCell(bytes, formatBytes)]),
  };
}

function settingText(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '–');
}
