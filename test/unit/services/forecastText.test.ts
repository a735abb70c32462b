import { expect, test } from 'vitest';
import { describeForecast } from '../../../src/engine/services/forecast';

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

test.each([
  [forecast, 'Forecast: up to 300 MiB of memory, about 1.0 s.'],
  [{ ...forecast, diskBytes: 2 ** 30, seconds: 300 }, 'Forecast: up to 300 MiB of memory, 1.00 GiB of disk, about 5 min 0 s.'],
  [{ ...forecast, deviceMemoryBytes: 2 ** 20 }, 'Forecast: up to 300 MiB of memory, 1.00 MiB of graphics memory, about 1.0 s.'],
])('%#: %s', (given, text) => expect(describeForecast(given)).toBe(text));
