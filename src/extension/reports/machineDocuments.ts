import { basename } from 'node:path';
import { formatBytes, formatSeconds } from '../../common/units';
import type { DevicesReport } from '../../protocol/devices';
import type { Forecast } from '../../protocol/jobs';
import type { ReportPageView, ReportSection } from '../../protocol/panels/reportPage';
import { providerName } from '../../common/providerNames';

/** The devices of this machine as a document. */
export function devicesDocument(report: DevicesReport): ReportPageView {
  return {
    title: 'Devices',
    subtitle: `${report.platform}, ${report.runtime}`,
    verdict: { state: 'neutral', text: `selected automatically: ${providerName(report.automatic.provider)}` },
    figures: [
      { label: 'Cores', value: String(report.cores) },
      { label: 'Memory', value: formatBytes(report.memoryBytes), note: `${formatBytes(report.memoryAvailableBytes)} free` },
    ],
    sections: [
      { kind: 'text', heading: 'Automatic choice', paragraphs: [report.automatic.reason] },
      ...report.devices.map((device): ReportSection => ({
        kind: 'checks',
        heading: device.name === '' ? providerName(device.provider) : `${providerName(device.provider)}: ${device.name}`,
        items: [
          { state: device.usable ? 'passed' : 'failed', title: device.usable ? 'Usable' : 'Not usable', text: device.reason },
          ...device.checks.map(({ name, passed, found, advice }) => ({
            state: passed ? ('passed' as const) : ('failed' as const),
            title: name,
            text: found,
            ...(advice !== undefined && { advice }),
          })),
        ],
      })),
      { kind: 'facts', heading: 'Runtime', rows: [{ label: 'Folder', value: report.runtimePath }] },
    ],
    actions: [
      { id: 'refresh', label: 'Refresh' },
      { id: 'setUpGpu', label: 'Set Up GPU…' },
    ],
  };
}

/** One need of a forecast as a line. */
export interface ForecastLine {
  readonly label: string;
  readonly value: string;
  /** What there is of it. */
  readonly of?: string;
  readonly short: boolean;
}

/** What a job needs against what there is, as lines. */
export function forecastLines(forecast: Forecast): readonly ForecastLine[] {
  const lines: ForecastLine[] = [
    {
      label: 'Memory',
      value: formatBytes(forecast.hostMemoryBytes),
      of: `of ${formatBytes(forecast.hostMemoryLimitBytes)}`,
      short: forecast.hostMemoryBytes > forecast.hostMemoryLimitBytes,
    },
  ];
  if (forecast.deviceMemoryBytes !== undefined) {
    const available = forecast.deviceMemoryAvailableBytes;
    lines.push({
      label: 'GPU memory',
      value: formatBytes(forecast.deviceMemoryBytes),
      ...(available !== undefined && { of: `of ${formatBytes(available)} free` }),
      short: available !== undefined && forecast.deviceMemoryBytes > available,
    });
  }
  if (forecast.disks) {
    for (const { folders, bytes, availableBytes } of forecast.disks)
      lines.push({
        label: `Disk of ${folders.map((folder) => basename(folder)).join(', ')}`,
        value: formatBytes(bytes),
        of: `of ${formatBytes(availableBytes)} free`,
        short: bytes > availableBytes,
      });
  } else if (forecast.diskBytes > 0) {
    lines.push({
      label: 'Disk',
      value: formatBytes(forecast.diskBytes),
      of: `of ${formatBytes(forecast.diskAvailableBytes)} free`,
      short: forecast.diskBytes > forecast.diskAvailableBytes,
    });
  }
  lines.push({ label: 'Time', value: `about ${formatSeconds(forecast.seconds)}`, short: false });
  return lines;
}

/** The forecast of a recipe as a document. */
export function forecastDocument(recipe: string, forecast: Forecast): ReportPageView {
  const short = forecast.shortfalls.length > 0;
  return {
    title: basename(recipe),
    subtitle: 'Forecast: what this recipe needs',
    verdict: short ? { state: 'failed', text: 'Does not fit' } : { state: 'passed', text: 'Fits this machine' },
    figures: forecastLines(forecast).map(({ label, value, of }) => ({ label, value, ...(of !== undefined && { note: of }) })),
    sections: [
      ...(short ? [{ kind: 'list' as const, heading: 'What is missing', items: forecast.shortfalls }] : []),
      { kind: 'facts', heading: 'Provider', rows: [{ label: providerName(forecast.provider), value: forecast.providerReason }] },
      ...(forecast.notes.length > 0 ? [{ kind: 'list' as const, heading: 'Notes', items: forecast.notes }] : []),
    ],
    actions: [{ id: 'openFile', label: 'Open Recipe' }],
  };
}
