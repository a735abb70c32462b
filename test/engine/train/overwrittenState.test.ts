import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { SeededRandom } from '../../../src/common/random';
import { encodeModel } from '../../../src/engine/formats/onnx/encodeModel';
import { GraphBuilder, int } from '../../../src/engine/graph/builder';
import { operators } from '../../../src/engine/ops/index';
import type { Runtime } from '../../../src/engine/runtime/types';
import type { WeightMethod } from '../../../src/engine/train/contract';
import { diffq } from '../../../src/engine/train/methods/diffq';
import { floatTraining } from '../../../src/engine/train/methods/float';
import { openTrainable } from '../../../src/engine/train/models/openTrainable';
import { chooseUpdates } from '../../../src/engine/train/updates/chooseUpdates';
import { LoomweightError } from '../../../src/protocol/errors';
import type { LearnSpec } from '../../../src/protocol/jobs';
import { bestState, finalState } from '../../support/finalState';
import { test } from '../../support/fixtures';
import { noisyMethod } from '../../support/noisyMethod';
import { stepRunnerFor } from '../../support/stepRunnerFor';
import { digitsSpec, trainWith, type TrainWithOptions } from '../../support/trainDigits';

const spec = (changes: Partial<LearnSpec> = {}): LearnSpec =>
  digitsSpec({ steps: 40, batch: 8, penalty: 0.1, schedule: 'cosine', warmup: 5, evaluateEvery: 10, ...changes });

/** Trains with a checkpoint of that name and reads everything that a training leaves. */
async function outcome(folder: string, runtime: Runtime, name: string, job: LearnSpec, options: TrainWithOptions = {}) {
  const checkpointFolder = join(folder, name);
  const result = await trainWith(job, runtime, { weightMethod: noisyMethod, checkpointFolder, ...options });
  const { bestStep, curve, evaluations, resumedFrom } = result;
  return {
    last: await finalState(checkpointFolder),
    best: await bestState(checkpointFolder),
    /** Of the values that the training gives, which must be those of the best state. */
    fc1: Buffer.from(result.state.parameter('fc1.weight').slice().buffer).toString('hex'),
    bestStep,
    curve,
    evaluations,
    resumedFrom,
  };
}

/** A network with a matrix that is large enough to be read again from its file, overwritten, and updated in blocks of rows. */
function wideNetwork(folder: string): string {
  const build = new GraphBuilder(operators, 'wide', 17);
  const random = new SeededRandom(7);
  const layer = (name: string, inputs: number, outputs: number) => {
    const values = (count: number) => Float32Array.from({ length: count }, () => (random.next() * 2 - 1) / Math.sqrt(inputs));
    const constant = (part: string, shape: readonly number[]) =>
      build.constant(
        {
          kind: 'inline',
          dtype: 'float32',
          shape,
          bytes: new Uint8Array(values(shape.reduce((product, length) => product * length)).buffer),
        },
        `${name}.${part}`,
      );
    return [constant('weight', [outputs, inputs]), constant('bias', [outputs])] as const;
  };
  const gemm = (x: Parameters<typeof build.op>[1][number], name: string, inputs: number, outputs: number) =>
    build.op('Gemm', [x, ...layer(name, inputs, outputs)], { transB: int(1) });
  const first = build.op('Relu', [gemm(build.input('input', { dtype: 'float32', shape: ['batch', 64] }), 'fc0', 64, 1024)]);
  const second = build.op('Relu', [gemm(first, 'fc1', 1024, 1024)]);
  build.output(gemm(second, 'fc2', 1024, 10), 'output');
  const file = join(folder, 'wide.onnx');
  writeFileSync(file, encodeModel(build.finish()));
  return file;
}

describe('overwriting the state of a run changes no byte of the result', () => {
  test('with everything that a method may use: in runs of 3 steps, of as many as fit, and one by one', async ({ folder, runtime }) => {
    // The rate is too high on purpose: the best state is an early one, which later runs must not touch.
    const job = spec({ steps: 60, evaluateEvery: 6, rate: 0.2 });
    const left = await outcome(folder, runtime, 'left', job, { overwrite: false, stepsPerRun: 3 });
    expect(left.bestStep).toBeLessThan(60);
    expect(left.last.size).toBeGreaterThan(20);
    expect(await outcome(folder, runtime, 'over', job, { overwrite: true, stepsPerRun: 3 })).toEqual(left);
    expect(await outcome(folder, runtime, 'over-free', job, { overwrite: true })).toEqual(left);
    expect(await outcome(folder, runtime, 'over-steps', job, { overwrite: true, mode: 'steps' })).toEqual(left);
  });

  test('with large matrices, updated in blocks of rows', async ({ folder, runtime }) => {
    const job = spec({ model: wideNetwork(folder), steps: 8, evaluateEvery: 2, start: 'trained', parameters: { groupSize: 8 } });
    const options = { weightMethod: diffq as WeightMethod, stepsPerRun: 2 };
    const left = await outcome(folder, runtime, 'left', job, { ...options, overwrite: false });
    const over = await outcome(folder, runtime, 'over', job, { ...options, overwrite: true });
    for (const part of ['last', 'best'] as const) {
      expect([...over[part].keys()]).toEqual([...left[part].keys()]);
      for (const [name, bytes] of left[part]) expect(over[part].get(name) === bytes, name).toBe(true);
    }
    expect(over.fc1 === left.fc1).toBe(true);
    expect({ ...over, last: 0, best: 0, fc1: 0 }).toEqual({ ...left, last: 0, best: 0, fc1: 0 });
  });

  test('cancelled after 17 of 40 steps and resumed, and cancelled before the first', async ({ folder, runtime }) => {
    const job = spec();
    const straight = await outcome(folder, runtime, 'straight', job, { overwrite: false });
    for (const last of [17, 0]) {
      const abort = new AbortController();
      if (last === 0) abort.abort();
      const interrupted = outcome(folder, runtime, `stopped-${last}`, job, {
        overwrite: true,
        stepsPerRun: 1,
        signal: abort.signal,
        progress: ({ done }) => {
          if (done === last) abort.abort();
        },
      });
      await expect(interrupted).rejects.toMatchObject({ code: 'cancelled' });
      const resumed = await outcome(folder, runtime, `stopped-${last}`, { ...job, resume: true }, { overwrite: true });
      expect(resumed).toEqual({ ...straight, resumedFrom: last === 0 ? undefined : last });
    }
  });
});

describe('a training that diverges keeps the last state that it can', () => {
  // Each step multiplies the weights by about -29: after some steps the loss is too large for float32.
  const job = spec({ optimizer: 'sgd', schedule: 'constant', warmup: 0, rate: 1, weightDecay: 30, steps: 60 });

  async function divergence(runtime: Runtime, changes: Partial<LearnSpec>, options: TrainWithOptions) {
    const error = await trainWith({ ...job, ...changes }, runtime, options).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(LoomweightError);
    const { code, message, details = {} } = error as LoomweightError;
    expect(code).toBe('runtime');
    return { message, step: details['step'] as number, kept: details['checkpointStep'] as number | undefined };
  }

  test('that of the last checkpoint where runs overwrite, that before the run where they do not', async ({ folder, runtime }) => {
    const checkpointFolder = join(folder, 'over');
    const runs = { stepsPerRun: 1, checkpointFolder };
    const over = await divergence(runtime, { evaluateEvery: 3 }, { ...runs, overwrite: true });
    expect(over.step).toBeGreaterThan(4);
    expect(over.kept).toBe(Math.floor((over.step - 1) / 3) * 3);
    expect(over.message).toContain(`The state after ${over.kept} steps, the last good one, is kept in ${checkpointFolder}.`);
    const undisturbed = await outcome(
      folder,
      runtime,
      'short',
      { ...job, steps: over.kept as number, evaluateEvery: 3 },
      {
        weightMethod: floatTraining,
      },
    );
    expect(await finalState(checkpointFolder)).toEqual(undisturbed.last);
    const left = await divergence(runtime, { evaluateEvery: 3 }, { ...runs, checkpointFolder: join(folder, 'left') });
    expect(left.step).toBe(over.step);
    expect(left.kept).toBe(over.step - 1);
  });

  test('that of the start where nothing else was saved, and none without a checkpoint', async ({ folder, runtime }) => {
    const checkpointFolder = join(folder, 'start');
    const options = { overwrite: true, stepsPerRun: 60 };
    const saved = await divergence(runtime, { evaluateEvery: 60 }, { ...options, checkpointFolder });
    expect(saved.kept).toBe(0);
    for (const [name, hex] of await finalState(checkpointFolder))
      expect(new Float32Array(new Uint8Array(Buffer.from(hex, 'hex')).buffer).every(Number.isFinite), name).toBe(true);
    const unsaved = await divergence(runtime, { evaluateEvery: 60 }, options);
    expect(unsaved).toMatchObject({ step: saved.step, kept: undefined });
    expect(unsaved.message).not.toContain('is kept');
    expect(existsSync(checkpointFolder)).toBe(true);
  });
});

test('a run writes into the arrays that it is given, but not into kept ones and not twice into one', async ({ folder, runtime }) => {
  const model = await openTrainable(wideNetwork(folder));
  try {
    const random = new SeededRandom(5);
    const { runner, state } = await stepRunnerFor({
      model,
      method: 'float',
      parameters: {},
      batch: {
        input: { dtype: 'float32', shape: [8, 64], data: Float32Array.from({ length: 512 }, () => random.nextNormal()) },
        label: { dtype: 'int64', shape: [8], data: BigInt64Array.from({ length: 8 }, (_, index) => BigInt(index)) },
      },
      loss: 'cross-entropy',
      updates: await chooseUpdates(runtime),
      runtime,
    });
    const keys = [...state.keys()];
    const kept = state.get('parameter/fc1.weight') as Float32Array;
    const before = kept.slice();
    const plain = await runner.run(new Map([...state].map(([key, values]) => [key, values.slice()])), 0, 3);
    // Two tensors in one buffer, as a caller may have them.
    const shared = new Float32Array(2048);
    const given = new Map(state).set('parameter/fc0.bias', shared.subarray(0, 1024)).set('parameter/fc1.bias', shared.subarray(1024));
    for (const name of ['parameter/fc0.bias', 'parameter/fc1.bias']) given.get(name)?.set(state.get(name) as Float32Array);
    const over = await runner.run(given, 0, 3, { overwrite: { kept: [kept] } });
    for (const key of keys) {
      expect(Buffer.compare(bytesOf(over.state.get(key)), bytesOf(plain.state.get(key))), key).toBe(0);
      const isWritten = over.state.get(key) === given.get(key);
      expect(isWritten, key).toBe(key !== 'parameter/fc1.weight' && key !== 'parameter/fc1.bias');
    }
    expect(Buffer.compare(bytesOf(kept), bytesOf(before))).toBe(0);
    expect(over.metrics).toEqual(plain.metrics);
    await runner.release();
  } finally {
    await model.close();
  }
});

const bytesOf = (values: Float32Array | undefined): Uint8Array =>
  new Uint8Array(values?.buffer ?? new ArrayBuffer(0), values?.byteOffset, values?.byteLength);
