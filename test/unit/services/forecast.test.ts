import { describe, expect, test } from 'vitest';
import { addEstimates, describeForecast, makeForecast, refuseShortfall } from '../../../src/engine/services/forecast';
import type { LoomweightError } from '../../../src/protocol/errors';

describe('forecast', () => {
  const resources = {
    memory: { totalBytes: 16e9, availableBytes: 8e9 },
    diskAvailableBytes: 1e9,
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
    const forecast = makeForecast({ ...estimate, diskBytes: 3e9 }, resources);
    expect(() => refuseShortfall(forecast)).toThrow(expect.objectContaining({ code: 'insufficient-disk' }) as LoomweightError);
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
