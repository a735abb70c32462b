import { formatBytes } from '../../common/units';
import type { DevicesReport } from '../../protocol/devices';
import { defineCommand } from '../command';
import { formatPairs, formatTable } from '../../common/textTable';
import { withEngine } from '../withEngine';

/** `loomweight devices`. */
export const devices = defineCommand<DevicesReport>({
  name: 'devices',
  summary: 'List the devices that can run models, what the others are missing, and which one auto chooses.',
  details: [
    'A GPU needs an onnxruntime-node package with GPU libraries; set LOOMWEIGHT_RUNTIME_PATH to its folder. Every failed check tells you what to do.',
  ],
  positionals: [],
  options: [],
  examples: ['loomweight devices', 'LOOMWEIGHT_RUNTIME_PATH=/opt/onnxruntime-node loomweight devices'],
  run: () => withEngine((engine) => engine.devices({})),
  text: (report, { terminal }) => devicesText(report, terminal.verbose),
});

/** One row a provider, the checks of those that do not work (all of them with `verbose`), the machine and the choice. */
export function devicesText(report: DevicesReport, verbose: boolean): string {
  const table = formatTable(
    [{ title: 'Provider' }, { title: 'Usable' }, { title: 'Device' }, { title: 'Why' }],
    report.devices.map((device) => [device.provider, device.usable ? 'yes' : 'no', device.name, device.reason]),
  );
  const checks = report.devices
    .map((device) => ({ device, shown: device.checks.filter((check) => verbose || !check.passed) }))
    .filter(({ shown }) => shown.length > 0)
    .map(
      ({ device, shown }) =>
        `\n${device.provider}\n` +
        formatPairs(
          shown.map((check) => [
            `  ${check.passed ? 'ok' : '--'}  ${check.name}`,
            check.advice === undefined || check.passed ? check.found : [check.found, check.advice],
          ]),
        ),
    );
  const machine = formatPairs([
    ['Automatic', `${report.automatic.provider}: ${report.automatic.reason}`],
    [
      'Machine',
      `${report.platform}, ${report.cores} cores, ${formatBytes(report.memoryAvailableBytes)} of ${formatBytes(report.memoryBytes)} free`,
    ],
    ['Runtime', `${report.runtime} (${report.runtimePath})`],
  ]);
  return `${table}${checks.join('')}\n${machine}`;
}
