import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { TensorContainer } from '../../../src/engine/formats/container';
import { findModels } from '../../../src/engine/models/findModels';
import { addEstimates, makeForecast, refuseShortfall } from '../../../src/engine/services/forecast';
import { freeDisk, hostMemory } from '../../../src/engine/services/freeSpace';
import { Journal } from '../../../src/engine/services/journal';
import { OpenModels } from '../../../src/engine/services/openModels';
import { ProgressReporter } from '../../../src/engine/services/progressReporter';
import { temporaryName, temporaryWriter } from '../../../src/protocol/client/temporaryNames';
import { LoomweightError, cancelledError } from '../../../src/protocol/errors';
import type { InspectSpec, JobProgress } from '../../../src/protocol/jobs';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'loomweight-jobs-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(path: string, text = 'x'): string {
  const full = join(folder, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, text);
  return full;
}

describe('progress', () => {
  test('sends at most ten a second, the latest wins, the last one is always sent', () => {
    let time = 0;
    const sent: JobProgress[] = [];
    const reporter = new ProgressReporter(
      (progress) => sent.push(progress),
      () => time,
    );
    for (let done = 0; done <= 100; done += 1) {
      reporter.report({ phase: 'Rounding', done, total: 100, unit: 'tensors' });
      time += 10;
    }
    expect(sent.map(({ done }) => done)).toEqual([0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    reporter.report({ phase: 'Writing', done: 1, unit: 'files' });
    reporter.report({ phase: 'Writing', done: 2, unit: 'files' });
    reporter.flush();
    reporter.flush();
    expect(sent.slice(11).map(({ done }) => done)).toEqual([2]);
  });

  test('estimates the time left of the phase, from its own speed', () => {
    let time = 0;
    const sent: JobProgress[] = [];
    const reporter = new ProgressReporter(
      (progress) => sent.push(progress),
      () => time,
    );
    reporter.report({ phase: 'Reading', done: 0, total: 2, unit: 'files' });
    time = 9000;
    reporter.report({ phase: 'Rounding', done: 20, total: 100, unit: 'tensors' });
    time = 11_000;
    reporter.report({ phase: 'Rounding', done: 40, total: 100, unit: 'tensors' });
    expect(sent.at(-1)).toMatchObject({ elapsedSeconds: 11, remainingSeconds: 6 });
    expect(sent[0]).not.toHaveProperty('remainingSeconds');
    expect(sent[0]?.rssBytes).toBeGreaterThan(1e6);
  });
});

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
      'The job needs 3.73 GiB of memory under --max-memory, 2.79 GiB are there: 954 MiB too little. ' +
        'Raise the limit, or choose a smaller window, batch or model.',
    ]);
    expect(() => refuseShortfall(forecast)).toThrow(expect.objectContaining({ code: 'insufficient-memory' }) as LoomweightError);
  });

  test('a full disk alone is insufficient-disk', () => {
    const forecast = makeForecast({ ...estimate, diskBytes: 3e9 }, resources);
    expect(() => refuseShortfall(forecast)).toThrow(expect.objectContaining({ code: 'insufficient-disk' }) as LoomweightError);
  });

  test('steps add up: largest memory, sum of disk and time', () => {
    expect(addEstimates([estimate, { hostMemoryBytes: 5e9, diskBytes: 1, seconds: 2, notes: ['n'] }])).toEqual({
      hostMemoryBytes: 5e9,
      diskBytes: 500000001,
      seconds: 12,
      notes: ['n'],
    });
  });
});

describe('free space', () => {
  test('takes what Linux calls available, cut by the control group', async () => {
    write('proc/meminfo', 'MemTotal:       16000000 kB\nMemFree: 1 kB\nMemAvailable:    8000000 kB\n');
    expect(await hostMemory(folder)).toEqual({ totalBytes: 16000000 * 1024, availableBytes: 8000000 * 1024 });
    write('sys/fs/cgroup/memory.max', 'max\n');
    expect((await hostMemory(folder)).totalBytes).toBe(16000000 * 1024);
    write('sys/fs/cgroup/memory.max', '2000000000\n');
    write('sys/fs/cgroup/memory.current', '1500000000\n');
    write('sys/fs/cgroup/memory.stat', 'anon 5\ninactive_file 100000000\n');
    expect(await hostMemory(folder)).toEqual({ totalBytes: 2e9, availableBytes: 6e8 });
  });

  test('a path that does not exist yet lies on the disk of its nearest folder', async () => {
    const free = await freeDisk(join(folder, 'not', 'there', 'yet'));
    expect(free).toBeGreaterThan(0);
  });
});

describe('journal', () => {
  const spec: InspectSpec = { kind: 'inspect', model: 'm' };

  test('remembers how runs ended, newest first', async () => {
    const journal = new Journal(join(folder, 'state'));
    await journal.end(await journal.begin(spec, []));
    await new Promise((resolve) => setTimeout(resolve, 5));
    await journal.end(await journal.begin(spec, []), cancelledError());
    await new Promise((resolve) => setTimeout(resolve, 5));
    await journal.end(await journal.begin(spec, []), new LoomweightError('io', 'no'));
    expect((await journal.entries()).map(({ status }) => status)).toEqual(['failed', 'cancelled', 'done']);
  });

  test('cleans up after a process that died, and only after that', async () => {
    const journal = new Journal(join(folder, 'state'));
    const dead = 4194303;
    const out = join(folder, 'out');
    const mine = join(folder, temporaryName('out', 'ab'));
    const theirs = mine.replace(`-${process.pid}-`, `-${dead}-`);
    const other = join(folder, temporaryName('other', 'ab').replace(`-${process.pid}-`, `-${dead}-`));
    for (const path of [mine, theirs, other]) mkdirSync(path);
    const entry = await journal.begin(spec, [out]);
    write(join('state', `${entry.id}.json`), JSON.stringify({ ...entry, pid: dead }));
    await journal.begin(spec, [out]);
    expect(await journal.recover()).toEqual([theirs]);
    expect([mine, theirs, other].map((path) => existsSync(path))).toEqual([true, false, true]);
    const statuses = (await journal.entries()).map(({ status }) => status).sort();
    expect(statuses).toEqual(['failed', 'running']);
  });

  test('a damaged entry and a folder that cannot be written harm nobody', async () => {
    write('state/bad.json', '{');
    write('state/odd.json', '{"id":"other"}');
    expect(await new Journal(join(folder, 'state')).entries()).toEqual([]);
    const blocked = new Journal(join(write('file'), 'below'));
    await blocked.end(await blocked.begin(spec, []));
    expect(await blocked.entries()).toEqual([]);
  });
});

test('temporary names tell target, writer and machine', () => {
  const name = temporaryName('a.b', '0f');
  expect(temporaryWriter(name)).toEqual({ target: 'a.b', pid: process.pid, isThisMachine: true });
  expect(temporaryWriter('.a.b.loomweight-elsewhere-12-0f.tmp')).toMatchObject({ isThisMachine: hostname() === 'elsewhere' });
  expect(temporaryWriter('out')).toBeUndefined();
});

describe('open models', () => {
  function opener(): { readonly models: OpenModels; readonly counts: { opened: number; closed: number } } {
    const counts = { opened: 0, closed: 0 };
    const models = new OpenModels((path) => {
      counts.opened += 1;
      if (path.endsWith('bad')) return Promise.reject(new LoomweightError('malformed-file', 'bad'));
      return Promise.resolve({
        path,
        close: () => {
          counts.closed += 1;
          return Promise.resolve();
        },
      } as unknown as TensorContainer);
    });
    return { models, counts };
  }
  const use = (models: OpenModels, path: string, limited = false) =>
    models.use(path, { limited }, (container) => Promise.resolve(container.path));

  test('are shared until the file changes', async () => {
    const { models, counts } = opener();
    const path = write('m');
    expect(await use(models, path)).toBe(path);
    await use(models, path);
    expect(counts).toEqual({ opened: 1, closed: 0 });
    await use(models, path, true);
    expect(counts.opened).toBe(2);
    utimesSync(path, 1, 1);
    await use(models, path);
    expect(counts).toEqual({ opened: 3, closed: 1 });
    await models.dispose();
    expect(counts.closed).toBe(3);
  });

  test('stay open while used, and are opened again after a failure', async () => {
    const { models, counts } = opener();
    const path = write('m');
    await models.use(path, {}, async () => {
      utimesSync(path, 1, 1);
      await use(models, path);
      expect(counts.closed).toBe(0);
    });
    expect(counts.closed).toBe(1);
    const bad = write('bad');
    await expect(use(models, bad)).rejects.toThrow('bad');
    await expect(use(models, bad)).rejects.toThrow('bad');
    expect(counts.opened).toBe(4);
  });
});

test('models are found by name: directories, single files, external data; not in hidden or package folders', async () => {
  write('llama/config.json', '{}');
  write('llama/model-00001-of-00002.safetensors', '12');
  write('llama/model-00002-of-00002.safetensors', '345');
  write('deep/er/a.onnx', '1');
  write('deep/er/a.onnx_data', '123456');
  write('b.gguf', '12');
  write('loose.safetensors', '1');
  write('.cache/c.gguf');
  write('node_modules/x/d.onnx');
  write('readme.md');
  const found = await findModels(folder);
  expect(found.map(({ name, format, bytes }) => [name, format, bytes]).sort()).toEqual([
    ['a.onnx', 'onnx', 7],
    ['b.gguf', 'gguf', 2],
    ['llama', 'hugging-face', 5],
    ['loose.safetensors', 'safetensors', 1],
  ]);
  await expect(findModels(folder, AbortSignal.abort())).rejects.toMatchObject({ code: 'cancelled' });
  expect(await findModels(join(folder, 'missing'))).toEqual([]);
  expect(readdirSync(folder).length).toBeGreaterThan(0);
});
