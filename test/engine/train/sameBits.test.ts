import { mkdtempSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../../src/common/random';
import { LoomweightError } from '../../../src/protocol/errors';
import type { LearnSpec } from '../../../src/protocol/jobs';
import { encodeNpy } from '../../support/encodeNpy';
import { finalState } from '../../support/finalState';
import { noisyMethod } from '../../support/noisyMethod';
import { digitsSpec, fixture, trainWith } from '../../support/trainDigits';
import { openRuntime, temporaryFolder } from '../../support/fixtures';

const runtime = await openRuntime();
const folder = temporaryFolder();

const spec = (changes: Partial<LearnSpec> = {}): LearnSpec =>
  digitsSpec({ steps: 60, batch: 8, penalty: 0.1, schedule: 'cosine', warmup: 5, evaluateEvery: 30, ...changes });

async function stateAfter(name: string, job: LearnSpec, options: NonNullable<Parameters<typeof trainWith>[2]> = {}) {
  const checkpointFolder = join(folder, name);
  const result = await trainWith(job, runtime, { weightMethod: noisyMethod, checkpointFolder, ...options });
  return { result, state: await finalState(checkpointFolder) };
}

describe('the length of a run and the mode do not change a single bit', () => {
  test('runs of 1 step, of 7, and as many as fit; in a Loop and one by one', async () => {
    const one = await stateAfter('one', spec(), { stepsPerRun: 1 });
    const seven = await stateAfter('seven', spec(), { stepsPerRun: 7 });
    const free = await stateAfter('free', spec());
    const steps = await stateAfter('steps', spec(), { mode: 'steps' });
    expect(one.state.size).toBeGreaterThan(20);
    expect(seven.state).toEqual(one.state);
    expect(free.state).toEqual(one.state);
    expect(steps.state).toEqual(one.state);
    expect(steps.result.mode).toBe('steps');
    expect(seven.result.curve).toEqual(one.result.curve);
    expect(seven.result.evaluations).toEqual(one.result.evaluations);
  });

  test('convolutions: runs of 1 step and of 7, in a Loop and one by one', async () => {
    // Pictures in two classes that differ by their mean.
    const data = mkdtempSync(join(folder, 'pictures-'));
    const random = new SeededRandom(3);
    const labels = BigInt64Array.from({ length: 64 }, () => BigInt(random.nextBelow(2)));
    const pixels = Float32Array.from({ length: 64 * 64 }, (_, at) => random.nextNormal() + Number(labels[at >> 6]));
    writeFileSync(join(data, 'train-input.npy'), encodeNpy('float32', [64, 1, 8, 8], new Uint8Array(pixels.buffer)));
    writeFileSync(join(data, 'train-label.npy'), encodeNpy('int64', [64], new Uint8Array(labels.buffer)));
    const job = spec({
      model: fixture('onnx/digits-a.onnx'),
      data,
      steps: 14,
      evaluateEvery: 7,
      batch: 16,
    });
    const one = await stateAfter('conv-one', job, { stepsPerRun: 1 });
    const seven = await stateAfter('conv-seven', job, { stepsPerRun: 7 });
    const steps = await stateAfter('conv-steps', job, { mode: 'steps' });
    expect(seven.state).toEqual(one.state);
    expect(steps.state).toEqual(one.state);
    expect(seven.result.curve).toEqual(one.result.curve);
    expect(seven.result.curve.at(-1)?.loss).toBeLessThan(seven.result.curve[0]?.loss as number);
  });

  test('with momentum, weight decay and clipping', async () => {
    const job = spec({
      model: fixture('../../media/samples/digits/digits-mlp.onnx'),
      optimizer: 'sgd',
      momentum: 0.9,
      nesterov: true,
      clip: 1,
      weightDecay: 1e-3,
      rate: 0.05,
    });
    const one = await stateAfter('sgd-one', job, { stepsPerRun: 1 });
    const seven = await stateAfter('sgd-seven', job, { stepsPerRun: 7 });
    expect(seven.state).toEqual(one.state);
    expect(seven.result.curve.at(-1)?.loss).toBeLessThan(seven.result.curve[0]?.loss as number);
  });

  test('another seed gives another result', async () => {
    const one = await stateAfter('seed-1', spec({ start: 'trained' }));
    const two = await stateAfter('seed-2', spec({ start: 'trained', seed: 2 }));
    expect(two.state).not.toEqual(one.state);
  });
});

describe('an interrupted training resumes as if it had not stopped', () => {
  test('cancelled after 17 of 40 steps and resumed', async () => {
    const job = spec({ steps: 40, evaluateEvery: 10 });
    const straight = await stateAfter('straight', job);
    const abort = new AbortController();
    const interrupted = stateAfter('interrupted', job, {
      stepsPerRun: 1,
      signal: abort.signal,
      progress: ({ done }) => {
        if (done === 17) abort.abort();
      },
    });
    await expect(interrupted).rejects.toMatchObject({ code: 'cancelled' });
    const resumed = await stateAfter('interrupted', { ...job, resume: true });
    expect(resumed.result.resumedFrom).toBe(17);
    expect(resumed.state).toEqual(straight.state);
    expect(resumed.result.curve).toEqual(straight.result.curve);
    expect(resumed.result.evaluations).toEqual(straight.result.evaluations);
    expect(resumed.result.bestStep).toBe(straight.result.bestStep);
    const name = 'fc1.weight';
    expect(resumed.result.state.parameter(name)).toEqual(straight.result.state.parameter(name));
  });

  test.each([20, 40])('cancelled in the evaluation after step %i of 40', async (last) => {
    const job = spec({ steps: 40, evaluateEvery: 20 });
    const straight = await stateAfter(`whole-${last}`, job);
    const abort = new AbortController();
    const interrupted = stateAfter(`evaluating-${last}`, job, {
      signal: abort.signal,
      progress: ({ done, phase }) => {
        if (done === last && phase === 'Evaluating') abort.abort();
      },
    });
    await expect(interrupted).rejects.toMatchObject({ code: 'cancelled' });
    const { result, state } = await stateAfter(`evaluating-${last}`, { ...job, resume: true });
    expect(result.resumedFrom).toBe(last);
    expect(result.evaluations).toEqual(straight.result.evaluations);
    expect(result.bestStep).toBe(straight.result.bestStep);
    expect(state).toEqual(straight.state);
  });

  test('a checkpoint with other settings is refused, naming them', async () => {
    const job = spec({ steps: 20, evaluateEvery: 10 });
    await stateAfter('settings', job);
    const other = stateAfter('settings', { ...job, rate: 0.5, resume: true });
    await expect(other).rejects.toMatchObject({ code: 'invalid-argument' });
    await expect(other).rejects.toThrow(/rate was 0\.003 and is 0\.5/);
    await expect(
      stateAfter('settings', { ...job, resume: true, data: fixture('../../media/samples/digits/data'), batch: 9 }),
    ).rejects.toThrow(/batch was 8 and is 9/);
  });

  test('a checkpoint is never overwritten in silence: refused with its step, untouched, until the request says what to do', async () => {
    const job = spec({ steps: 20, evaluateEvery: 10 });
    const straight = await stateAfter('kept', job);
    const files = () =>
      readdirSync(join(folder, 'kept')).map((name) => [name, readFileSync(join(folder, 'kept', name)).toString('base64')]);
    const before = files();
    const again = stateAfter('kept', { ...job, rate: 0.5 });
    await expect(again).rejects.toMatchObject({ code: 'invalid-argument', details: { checkpoint: join(folder, 'kept'), step: 20 } });
    await expect(again).rejects.toThrow(/at step 20 .*--resume.*--start-over/);
    // A damaged one is a checkpoint too.
    writeFileSync(join(folder, 'kept', 'checkpoint.json'), 'nonsense');
    await expect(stateAfter('kept', job)).rejects.toMatchObject({ code: 'invalid-argument' });
    expect(files()).toHaveLength(before.length);
    const over = await stateAfter('kept', { ...job, startOver: true });
    expect(over.result.resumedFrom).toBeUndefined();
    expect(over.state).toEqual(straight.state);
    expect(files()).toEqual(before);
  });

  test('resuming a finished training only returns its result, and the checkpoint is removed on request', async () => {
    const job = spec({ steps: 20, evaluateEvery: 10 });
    const first = await stateAfter('finished', job);
    const again = await stateAfter('finished', { ...job, resume: true });
    expect(again.result.resumedFrom).toBe(20);
    expect(again.result.evaluations).toEqual(first.result.evaluations);
    const checkpoint = join(folder, 'finished');
    const manifest = join(checkpoint, 'checkpoint.json');
    const text = readFileSync(manifest, 'utf8');
    writeFileSync(manifest, text.replace(/"state-/, '"../finished/state-'));
    await expect(stateAfter('finished', { ...job, resume: true })).rejects.toMatchObject({ code: 'malformed-file' });
    writeFileSync(manifest, text);
    writeFileSync(join(checkpoint, 'mine.txt'), 'not of the training');
    await again.result.discardCheckpoint();
    expect(readdirSync(checkpoint)).toEqual(['mine.txt']);
    unlinkSync(join(checkpoint, 'mine.txt'));
    await stateAfter('finished', job).then(({ result }) => result.discardCheckpoint());
    expect(readdirSync(folder)).not.toContain('finished');
  });
});

describe('numbers that are no longer finite', () => {
  test('stop the training, name the step, and leave the last good state', async () => {
    const checkpointFolder = join(folder, 'nan');
    const error = await trainWith(spec({ optimizer: 'sgd', rate: 1e4, schedule: 'constant', warmup: 0 }), runtime, {
      checkpointFolder,
    }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(LoomweightError);
    const { code, message, details } = error as LoomweightError;
    expect(code).toBe('runtime');
    expect(message).toMatch(/at step \d+; training stopped/);
    expect(message).toContain(checkpointFolder);
    expect(details?.['step']).toBeGreaterThan(details?.['checkpointStep'] as number);
    const state = await finalState(checkpointFolder);
    for (const [name, hex] of state) {
      const values = new Float32Array(new Uint8Array(Buffer.from(hex, 'hex')).buffer);
      expect(values.every(Number.isFinite), name).toBe(true);
    }
  });
});
