import { tmpdir } from 'node:os';
import { describe, expect, test } from 'vitest';
import { shareDisks } from '../../../src/engine/services/diskNeeds';
import { addEstimates, describeForecast, makeForecast, refuseShortfall } from '../../../src/engine/services/forecast';
import { forecastLines } from '../../../src/extension/reports/machineDocuments';
import type { LoomweightError } from '../../../src/protocol/errors';

describe('forecast', () => {
  const resources = {
    memory: { totalBytes: 16e9, availableBytes: 8e9 },
    disks: [{ folders: ['/out'], bytes: 5e8, availableBytes: 1e9 }],
    environment: { provider: 'cpu', providerReason: 'The CPU was requested.' },
  };
  const estimate = { hostMemoryBytes: 4e9, diskBytes: 5e8, seconds: 10 };

  test('finds no shortfall where everything fits', () => {
    const forecast = makeForecast(estimate, resources);
    expect(forecast).toMatchObject({ shortfalls: [], hostMemoryLimitBytes: 8e9, diskAvailableBytes: 1e9 });
    expect(() => refuseShortfall(forecast)).not.toThrow();
  });

  test('names what is missing under --max-memory', () => {
    const forecast = makeForecast(estimate, { ...resources, maxMemory: 3e9 });
    expect(forecast.shortfalls).toEqual([
      'The job needs 3.73 GiB of memory under --max-memory, but only 2.79 GiB are available: 954 MiB too little. ' +
        'Raise the limit, or choose a smaller window, batch or model.',
    ]);
    expect(() => refuseShortfall(forecast)).toThrow(expect.objectContaining({ code: 'insufficient-memory' }) as LoomweightError);
  });

  test('a full disk alone is insufficient-disk', () => {
    const forecast = makeForecast(
      { ...estimate, diskBytes: 3e9 },
      { ...resources, disks: [{ folders: ['/out'], bytes: 3e9, availableBytes: 1e9 }] },
    );
    expect(() => refuseShortfall(forecast)).toThrow(expect.objectContaining({ code: 'insufficient-disk' }) as LoomweightError);
  });

  test('each disk is checked against what is written to it', () => {
    const disks = [
      { folders: ['/a', '/b'], bytes: 4e9, availableBytes: 9e9 },
      { folders: ['/card/c'], bytes: 2 ** 31, availableBytes: 2 ** 30 },
    ];
    const forecast = makeForecast({ ...estimate, diskBytes: 4e9 + 2 ** 31 }, { ...resources, disks });
    expect(forecast.disks).toEqual(disks);
    expect(forecast.shortfalls).toEqual([
      'The job needs 2.00 GiB of disk space for /card/c, but only 1.00 GiB are available: 1.00 GiB too little. Free space, or choose another output folder.',
    ]);
    expect(() => refuseShortfall(forecast)).toThrow(expect.objectContaining({ code: 'insufficient-disk' }) as LoomweightError);
    expect(forecastLines(forecast).filter(({ label }) => label.startsWith('Disk'))).toEqual([
      { label: 'Disk of a, b', value: '3.73 GiB', of: 'of 8.38 GiB free', short: false },
      { label: 'Disk of c', value: '2.00 GiB', of: 'of 1.00 GiB free', short: true },
    ]);
  });

  test('outputs on the same disk are added, temporary files count once, and every output has its own disk', async () => {
    const disk = (path: string) => {
      if (path.startsWith('/unknown')) return Promise.resolve(undefined);
      return Promise.resolve(path.startsWith('/card') ? { device: 2, freeBytes: 7 } : { device: 1, freeBytes: 50 });
    };
    const needs = [
      { outputs: ['/a'], bytes: 10 },
      { outputs: ['/card/b'], bytes: 20 },
      { outputs: ['/c'], bytes: 5 },
      { outputs: ['/unknown/d'], bytes: 1000 },
      { outputs: [], bytes: 3 },
      { outputs: [], bytes: 4 },
      { outputs: ['/e', '/f', '/card/g'], bytes: 1 },
    ];
    expect(await shareDisks(needs, disk)).toEqual([
      { folders: ['/a', '/c', tmpdir(), '/e', '/f'], bytes: 10 + 5 + 4 + 1, availableBytes: 50 },
      { folders: ['/card/b', '/card/g'], bytes: 21, availableBytes: 7 },
    ]);
    expect(await shareDisks([{ outputs: [], bytes: 0 }], disk)).toEqual([]);
  });

  test('steps are combined: largest memory, sum of disk and time', () => {
    expect(addEstimates([estimate, { hostMemoryBytes: 5e9, diskBytes: 1, seconds: 2, notes: ['n'] }])).toEqual({
      hostMemoryBytes: 5e9,
      diskBytes: 500000001,
      seconds: 12,
      notes: ['n'],
    });
  });
});

const forecast = {
  hostMemoryBytes: 300 * 2 ** 20,
  hostMemoryAvailableBytes: 2 ** 34,
  hostMemoryLimitBytes: 2 ** 34,
  diskBytes: 0,
  diskAvailableBytes: 2 ** 34,
  seconds: 0.2,
  provider: 'cpu',
  providerReason: '',
  shortfalls: [],
  notes: [],
};

describe('a forecast in one line', () => {
  test.each([
    [forecast, 'Forecast: up to 300 MiB of memory, about 1.0 s.'],
    [{ ...forecast, diskBytes: 2 ** 30, seconds: 300 }, 'Forecast: up to 300 MiB of memory, 1.00 GiB of disk, about 5 min 0 s.'],
    [{ ...forecast, deviceMemoryBytes: 2 ** 20 }, 'Forecast: up to 300 MiB of memory, 1.00 MiB of GPU memory, about 1.0 s.'],
  ])('%#: %s', (given, text) => expect(describeForecast(given)).toBe(text));
});
