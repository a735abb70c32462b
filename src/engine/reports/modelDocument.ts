import { histogramText } from '../../common/bitHistogram';
import { checkTitle } from '../../common/checkTitles';
import { providerName } from '../../common/providerNames';
import { formatBytes, formatNumber, formatSeconds } from '../../common/units';
import type { ReportCell, ReportCheck, ReportPageView, ReportSection } from '../../protocol/panels/reportPage';
import { changeText, verdictOf } from '../../protocol/verdict';
import type { LayerReport, ModelReport, RunEnvironment, Verification } from '../../protocol/report';

/** How much of the model a verification ran. */
export const scopes: Readonly<Record<Verification['scope'], string>> = {
  whole: 'the whole model was run',
  blocks: 'blocks were run; the whole model did not fit',
  bytes: 'stored values were compared; nothing was run',
};

/** A number cell: sorts by value. */
export function numberCell(value: number | undefined, text: (value: number) => string): ReportCell {
  return value === undefined ? { text: '–' } : { text: text(value), order: value };
}

/** The checks of a verification as lines, and how far compression moved the model. */
export function verificationChecks(verification: Verification): readonly ReportCheck[] {
  const checks = verification.checks.map(({ name, passed, measured, limit, unit, note }): ReportCheck => ({
    state: passed ? 'passed' : 'failed',
    title: checkTitle(name),
    text: `${formatNumber(measured)} ${unit}, limit ${formatNumber(limit)}`,
    ...(note !== undefined && { advice: note }),
  }));
  const { change } = verification;
  if (change === undefined) return checks;
  const text = `${formatNumber(change.measured)} ${change.unit}, warning from ${formatNumber(change.limit)}`;
  return [...checks, { state: 'neutral', title: 'Change against the float model', text, advice: changeText(change) }];
}

/** The verdict beside the title of a report. */
export function verdictBadge(verification: Verification): NonNullable<ReportPageView['verdict']> {
  switch (verdictOf(verification)) {
    case 'passed':
      return { state: 'passed', text: 'Verified' };
    case 'changed':
      return { state: 'neutral', text: 'Sound, but changed a lot' };
    case 'failed':
      return { state: 'failed', text: 'Not verified' };
  }
}

/** Where and with what a job ran. */
export function environmentFacts(environment: RunEnvironment): readonly { readonly label: string; readonly value: string }[] {
  return [
    { label: 'Provider', value: `${providerName(environment.provider)}. ${environment.providerReason}` },
    { label: 'Runtime', value: environment.runtime },
    { label: 'Threads', value: String(environment.threads) },
  ];
}

/** Settings, machine, time and memory: the same for every job that writes a model. */
export function runFacts(
  report: Pick<ModelReport, 'settings' | 'environment' | 'seconds' | 'peakRssBytes' | 'seed' | 'version'>,
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
export function filesTable(outputs: ModelReport['outputs']): ReportSection {
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
