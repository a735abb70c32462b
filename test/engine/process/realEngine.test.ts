import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ResidentEngine } from '../../../src/protocol/client/residentEngine';
import { runJobInOwnProcess } from '../../../src/protocol/client/runJobInOwnProcess';
import type { CompareSpec, JobProgress, RecipeSpec } from '../../../src/protocol/jobs';
import type { CompareReport } from '../../../src/protocol/report';
import { bundleForNode } from '../../support/bundle';
import { failure, isGone } from './processSupport';

const model = resolve('media/samples/loom-base');
const tensor = 'model.layers.0.mlp.down_proj.weight';
let enginePath: string;
let resident: ResidentEngine;
let folder: string;

/** The bundle is in a temporary folder, so the runtime is configured like a user's own. */
const options = () => ({
  enginePath,
  runtimePath: resolve('node_modules/onnxruntime-node'),
  env: { LOOMWEIGHT_STATE: join(folder, 'state') },
});

beforeAll(async () => {
  enginePath = await bundleForNode('src/engine/main.ts');
  folder = mkdtempSync(join(tmpdir(), 'loomweight-real-'));
  resident = new ResidentEngine(options);
});
afterAll(async () => {
  await resident.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe('the resident engine', () => {
  test('inspects the sample model with exact roles', async () => {
    const summary = await resident.call('inspect', { model });
    expect(summary).toMatchObject({ format: 'hugging-face', architecture: 'LlamaForCausalLM', parameters: 3950848 });
    expect(summary.tensors.find(({ name }) => name === tensor)).toMatchObject({ role: 'down', shape: [256, 688], dtype: 'float16' });
  });

  test('gives statistics and a picture of a tensor', async () => {
    const statistics = await resident.call('statistics', { model, tensor, bins: 16 });
    expect(statistics.count).toBe(256 * 688);
    expect(statistics.histogram.counts.reduce((sum, count) => sum + count, 0)).toBe(statistics.count - statistics.notFinite);
    const picture = await resident.call('picture', { model, tensor, width: 64, height: 32 });
    expect(picture.levels).toBeInstanceOf(Uint8Array);
    expect(picture).toMatchObject({ rows: 256, columns: 688, width: 64, height: 32 });
  });

  test('answers errors with their codes and continues', async () => {
    expect((await failure(resident.call('inspect', { model: join(folder, 'none') }))).code).toBe('not-found');
    expect((await failure(resident.call('statistics', { model, tensor: 'no.such' }))).code).toBe('not-found');
    expect(await resident.call('findModels', { folder: resolve('media/samples') })).toMatchObject([
      { name: 'digits-mlp.onnx' },
      { name: 'loom-base' },
    ]);
  });

  test('describes devices, methods and recipes', async () => {
    const devices = await resident.call('devices', {});
    expect(devices.devices[0]).toMatchObject({ provider: 'cpu', usable: true });
    expect(devices.memoryAvailableBytes).toBeGreaterThan(1e8);
    expect((await resident.call('methods', {})).map(({ id }) => id)).toContain('rtn');
    expect(await resident.call('checkRecipe', { file: join(folder, 'a.loom.yaml'), text: 'steps: [' })).not.toEqual([]);
  });

  test('forecasts a compression: memory, disk, time, and the shortfall under a limit', async () => {
    const spec = {
      kind: 'compress',
      model,
      method: 'rtn',
      parameters: { bits: 4 },
      format: 'onnx-fast',
      out: join(folder, 'not', 'yet', 'there'),
    } as const;
    const forecast = await resident.call('forecast', { spec });
    expect(forecast).toMatchObject({ shortfalls: [], provider: 'cpu' });
    expect(forecast.hostMemoryBytes).toBeGreaterThan(1e8);
    expect(forecast.hostMemoryBytes).toBeLessThan(1e9);
    expect(forecast.diskBytes).toBeGreaterThan(3.5e6);
    expect(forecast.diskAvailableBytes).toBeGreaterThan(0);
    expect(forecast.seconds).toBeGreaterThan(0);
    const tight = await resident.call('forecast', { spec: { ...spec, maxMemory: 100e6 } });
    expect(tight.hostMemoryLimitBytes).toBe(100e6);
    expect(tight.shortfalls).toEqual([expect.stringContaining('under --max-memory')]);
  });

  test('forecasts a recipe and names the steps that it cannot forecast yet', async () => {
    const samples = join(folder, 'samples');
    cpSync(resolve('media/samples'), samples, { recursive: true, filter: (path) => basename(path) !== 'out' });
    const spec: RecipeSpec = { kind: 'recipe', recipe: join(samples, 'first.loom.yaml') };
    const forecast = await resident.call('forecast', { spec });
    expect(forecast.shortfalls).toEqual([]);
    expect(forecast.diskBytes).toBeGreaterThan(3.5e6);
    expect(forecast.notes.join(' ')).toContain('Not in the forecast, because they depend on the result of an earlier step: after.');
  });

  test('killed from outside, the next request works', async () => {
    const pid = resident.pid as number;
    const pending = failure(resident.call('devices', {}));
    process.kill(pid, 'SIGKILL');
    expect((await pending).code).toBe('engine-crashed');
    expect((await resident.call('inspect', { model })).parameters).toBe(3950848);
    expect(resident.pid).not.toBe(pid);
  });
});

describe('a job in its own process', () => {
  let copy: string;
  let spec: CompareSpec;
  beforeEach(() => {
    copy = join(folder, 'copy');
    spec = { kind: 'compare', first: model, second: copy };
    cpSync(model, copy, { recursive: true });
  });
  afterEach(() => rmSync(copy, { recursive: true, force: true }));

  test('compares two models, with progress, and exits afterwards', async () => {
    const seen: JobProgress[] = [];
    let pid = 0;
    const report = await runJobInOwnProcess(spec, {
      ...options(),
      onProgress: (progress) => seen.push(progress),
      onStart: (started) => (pid = started),
    });
    expect(report).toMatchObject({ kind: 'compare', equal: 38, changed: 0, missing: 0 });
    expect((report as CompareReport).peakRssBytes).toBeGreaterThan(3e7);
    expect(seen.at(-1)).toMatchObject({ done: 38, total: 38 });
    expect(isGone(pid)).toBe(true);
  });

  test('that needs more memory than allowed is refused before the start', async () => {
    const error = await failure(runJobInOwnProcess({ ...spec, maxMemory: 50e6 }, { ...options(), maxMemory: 1e9 }));
    expect(error.code).toBe('insufficient-memory');
    expect(error.message).toMatch(/under --max-memory.*too little.*Nothing was started/);
  });

  test('with an unavailable provider is refused with what is missing', async () => {
    const error = await failure(runJobInOwnProcess({ ...spec, provider: 'dml' }, options()));
    if (process.platform === 'win32') return;
    expect(error).toMatchObject({ code: 'unsupported' });
    expect(error.message).toContain('DirectML is available on Windows only');
  });
});

test('the journal records what ran', () => {
  expect(readdirSync(join(folder, 'state', 'jobs')).filter((name) => name.endsWith('.json')).length).toBeGreaterThan(0);
});
