import { formatBytes, formatSeconds } from '../../common/units';
import { LoomweightError } from '../../protocol/errors';
import type { Forecast } from '../../protocol/jobs';
import type { RunEnvironment } from '../../protocol/report';
import type { JobEstimate } from '../runtime/estimate';
import type { DiskShare } from './diskNeeds';
import type { HostMemory } from './freeSpace';

/** What there is to compare an estimate with. */
export interface Resources {
  readonly memory: HostMemory;
  /** `--max-memory`, in bytes. */
  readonly maxMemory?: number;
  /** Empty if the job writes nothing or the system does not tell. */
  readonly disks: readonly DiskShare[];
  readonly deviceMemoryAvailableBytes?: number;
  readonly environment: Pick<RunEnvironment, 'provider' | 'providerReason'>;
}

/** Compares what a job needs with what there is. Shortfalls name the missing amount; the job may start only without any. */
export function makeForecast(estimate: JobEstimate, resources: Resources): Forecast {
  const { memory, maxMemory, disks, deviceMemoryAvailableBytes, environment } = resources;
  const shortfalls: string[] = [];
  const lack = (needed: number, available: number | undefined, what: string, advice: string): void => {
    if (available === undefined || needed <= available) return;
    shortfalls.push(
      `The job needs ${formatBytes(needed)} of ${what}, but only ${formatBytes(available)} are available: ${formatBytes(needed - available)} too little. ${advice}`,
    );
  };
  if (maxMemory !== undefined)
    lack(estimate.hostMemoryBytes, maxMemory, 'memory under --max-memory', 'Raise the limit, or choose a smaller window, batch or model.');
  lack(estimate.hostMemoryBytes, memory.availableBytes, 'memory', 'Close other programs, or choose a smaller window, batch or model.');
  lack(estimate.deviceMemoryBytes ?? 0, deviceMemoryAvailableBytes, 'GPU memory', 'Run with --provider cpu, or free memory on the GPU.');
  for (const { folders, bytes, availableBytes } of disks)
    lack(
      bytes,
      availableBytes,
      `disk space${disks.length === 1 ? '' : ` for ${folders.join(' and ')}`}`,
      'Free space, or choose another output folder.',
    );
  return {
    hostMemoryBytes: estimate.hostMemoryBytes,
    hostMemoryAvailableBytes: memory.availableBytes,
    hostMemoryLimitBytes: maxMemory ?? memory.availableBytes,
    ...(estimate.deviceMemoryBytes === undefined ? {} : { deviceMemoryBytes: estimate.deviceMemoryBytes }),
    ...(deviceMemoryAvailableBytes === undefined ? {} : { deviceMemoryAvailableBytes }),
    diskBytes: estimate.diskBytes,
    diskAvailableBytes: disks.reduce((sum, { availableBytes }) => sum + availableBytes, 0),
    ...(disks.length > 1 ? { disks } : {}),
    seconds: estimate.seconds,
    provider: environment.provider,
    providerReason: environment.providerReason,
    shortfalls,
    notes: estimate.notes ?? [],
  };
}

/** Refuses a job that cannot run to its end: `insufficient-memory` or `insufficient-disk` with every shortfall. */
export function refuseShortfall(forecast: Forecast): void {
  if (forecast.shortfalls.length === 0) return;
  const disk = forecast.shortfalls.every((text) => text.includes('of disk space'));
  throw new LoomweightError(disk ? 'insufficient-disk' : 'insufficient-memory', `${forecast.shortfalls.join(' ')} Nothing was started.`, {
    forecast,
  });
}

/** The forecast of a job that can start, in one line: `Forecast: up to 246 MiB of memory, 4.1 MiB of disk, about 3 s.` */
export function describeForecast({ hostMemoryBytes, deviceMemoryBytes, diskBytes, seconds }: Forecast): string {
  const parts = [
    `up to ${formatBytes(hostMemoryBytes)} of memory`,
    ...(deviceMemoryBytes === undefined ? [] : [`${formatBytes(deviceMemoryBytes)} of GPU memory`]),
    ...(diskBytes === 0 ? [] : [`${formatBytes(diskBytes)} of disk`]),
    `about ${formatSeconds(Math.max(1, seconds))}`,
  ];
  return `Forecast: ${parts.join(', ')}.`;
}

/** Several steps one after the other: the largest memory, the sum of disk and time. */
export function addEstimates(estimates: readonly JobEstimate[]): JobEstimate {
  const largest = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b), 0);
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  const device = estimates.map((each) => each.deviceMemoryBytes).filter((bytes) => bytes !== undefined);
  return {
    hostMemoryBytes: largest(estimates.map((each) => each.hostMemoryBytes)),
    ...(device.length > 0 ? { deviceMemoryBytes: largest(device) } : {}),
    diskBytes: sum(estimates.map((each) => each.diskBytes)),
    seconds: sum(estimates.map((each) => each.seconds)),
    notes: estimates.flatMap((each) => each.notes ?? []),
  };
}
