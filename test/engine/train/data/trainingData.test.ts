import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { comesBefore, rankOf, type BestRule, type RatedEvaluation } from '../../../../src/engine/train/best';
import { TrainingCurve } from '../../../../src/engine/train/curve';
import { Mixture } from '../../../../src/engine/train/data/mixture';
import { openTrainingData } from '../../../../src/engine/train/data/openTrainingData';
import { Permutations } from '../../../../src/engine/train/data/permutation';
import { weightedFiles } from '../../../../src/engine/train/data/textSources';
import { openTrainable } from '../../../../src/engine/train/models/openTrainable';
import { NoisePool, refillEvery } from '../../../../src/engine/train/noisePool';
import { PoolRandom } from '../../../../src/engine/train/poolRandom';
import { encodeNpy } from '../../../support/encodeNpy';
import { digitsSpec, fixture } from '../../../support/trainDigits';
import { temporaryFolder } from '../../../support/fixtures';

const folder = temporaryFolder();

const floats = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer);

describe('data that does not match is refused before anything runs', () => {
  test('another shape: both shapes are named', async () => {
    const model = await openTrainable(fixture('onnx/digits-a.onnx'));
    const opened = openTrainingData(digitsSpec({ model: fixture('onnx/digits-a.onnx') }), model, 1);
    await expect(opened).rejects.toThrow(/\[batch, 1, 8, 8\].*\[1260, 64\]/);
    await expect(opened).rejects.toMatchObject({ code: 'invalid-argument' });
  });

  test('labels beyond the classes, and labels that the loss does not support', async () => {
    const model = await openTrainable(fixture('../../media/samples/digits/digits-mlp.onnx'));
    const input = new Float32Array(20 * 64);
    writeFileSync(join(folder, 'train-input.npy'), encodeNpy('float32', [20, 64], floats(input)));
    const label = (values: readonly number[]) =>
      writeFileSync(join(folder, 'train-label.npy'), encodeNpy('float32', [20], floats(Float32Array.from(values))));
    label(Array.from({ length: 20 }, (_, index) => index));
    await expect(openTrainingData(digitsSpec({ data: folder }), model, 1)).rejects.toThrow(/sample 10 .* has 10/);
    label(Array.from({ length: 20 }, (_, index) => index / 2));
    await expect(openTrainingData(digitsSpec({ data: folder, loss: 'cross-entropy' }), model, 1)).rejects.toThrow(/integer labels/);
    await expect(openTrainingData(digitsSpec({ data: folder, loss: 'binary' }), model, 1)).rejects.toThrow(/single logit/);
  });

  test.each([NaN, Infinity])('%s in the data: the sample is named', async (value) => {
    const model = await openTrainable(fixture('../../media/samples/digits/digits-mlp.onnx'));
    const input = new Float32Array(20 * 64);
    input[7 * 64 + 3] = value;
    writeFileSync(join(folder, 'train-input.npy'), encodeNpy('float32', [20, 64], floats(input)));
    writeFileSync(join(folder, 'train-label.npy'), encodeNpy('float32', [20], floats(new Float32Array(20))));
    await expect(openTrainingData(digitsSpec({ data: folder }), model, 1)).rejects.toMatchObject({
      code: 'invalid-argument',
      details: { input: 'input', sample: 7 },
    });
  });

  test('without a validation split, a seeded tenth is held out and never trained on', async () => {
    const model = await openTrainable(fixture('../../media/samples/digits/digits-mlp.onnx'));
    const numbered = Float32Array.from({ length: 50 * 64 }, (_, index) => Math.floor(index / 64));
    writeFileSync(join(folder, 'train-input.npy'), encodeNpy('float32', [50, 64], floats(numbered)));
    writeFileSync(join(folder, 'train-label.npy'), encodeNpy('float32', [50], floats(new Float32Array(50))));
    const data = await openTrainingData(digitsSpec({ data: folder }), model, 1);
    expect(data.loss).toBe('cross-entropy');
    expect(data.evaluation.samples).toBe(5);
    const numbers = (batch: Readonly<Record<string, { readonly data: unknown }>>) =>
      Array.from(batch['input']?.data as Float32Array).filter((_, index) => index % 64 === 0);
    const held = numbers(data.evaluation.slice(0, 5));
    const trained = numbers(data.train.batch(0, 45));
    expect([...held, ...trained].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, index) => index));
    expect(numbers(data.train.batch(1, 45))).not.toEqual(trained);
    expect(data.choices.join()).toContain('5 of 50');
  });
});

describe('text', () => {
  const open = async (changes: Parameters<typeof digitsSpec>[0] = {}) => {
    const model = await openTrainable(fixture('models/tiny-llama'), { window: 16 });
    return openTrainingData(
      digitsSpec({ model: fixture('models/tiny-llama'), data: fixture('text/eval-play.txt'), window: 16, ...changes }),
      model,
      changes.seed ?? 1,
    );
  };

  test('windows: targets are the inputs shifted by one token; batches depend on seed and step only', async () => {
    const data = await open();
    const { input_ids: ids, label } = data.train.batch(3, 4);
    expect(ids?.shape).toEqual(label?.shape);
    const length = ids?.shape[1] as number;
    const read = Array.from(ids?.data as BigInt64Array);
    const predicted = Array.from(label?.data as BigInt64Array);
    for (let row = 0; row < 4; row += 1)
      expect(read.slice(row * length + 1, (row + 1) * length)).toEqual(predicted.slice(row * length, (row + 1) * length - 1));
    expect((await open()).train.batch(3, 4)).toEqual(data.train.batch(3, 4));
    expect((await open({ seed: 9 })).train.batch(3, 4)).not.toEqual(data.train.batch(3, 4));
    expect(data.choices.join()).toContain('held out');
  });

  test('several files with weights', async () => {
    const [one, two] = [join(folder, 'one.txt'), join(folder, 'two.txt')];
    const text = readFileSync(fixture('text/eval-play.txt'), 'utf8');
    writeFileSync(one, text.slice(0, 6000));
    writeFileSync(two, text.slice(6000, 9000));
    expect(await weightedFiles(`${one}:3,${two}:1`)).toEqual([
      { file: one, share: 0.75 },
      { file: two, share: 0.25 },
    ]);
    await expect(weightedFiles(`${one}:0`)).rejects.toThrow(/weight of a text must be above 0/);
    await expect(weightedFiles(`${one},missing.txt`)).rejects.toMatchObject({ code: 'not-found' });
    const data = await open({ data: `${one}:0.7,${two}:0.3`, validation: two });
    expect(data.train.batch(0, 8)['label']?.shape[0]).toBe(8);
    expect(data.choices.join()).toContain('one.txt 70.0 %');
  });

  test('a text too short for its window is refused', async () => {
    const short = join(folder, 'short.txt');
    writeFileSync(short, 'To be.');
    await expect(open({ data: short })).rejects.toThrow(/at least two windows/);
  });
});

describe('orders and shares', () => {
  test('every pass is a permutation', () => {
    const order = new Permutations(17, 5);
    const pass = (number: number) => Array.from({ length: 17 }, (_, index) => order.sampleAt(number * 17 + index).sample);
    const all = Array.from({ length: 17 }, (_, index) => index);
    for (const number of [0, 1, 2]) expect([...pass(number)].sort((a, b) => a - b)).toEqual(all);
    expect(pass(0)).not.toEqual(pass(1));
  });

  test('a mixture keeps its shares and reads every source in order', () => {
    const mixture = new Mixture([0.7, 0.25, 0.05], 3);
    const next = [0, 0, 0];
    for (let position = 0; position < 3000; position += 1) {
      const { source, position: own } = mixture.at(position);
      expect(own).toBe(next[source]);
      next[source] = own + 1;
    }
    expect(next).toEqual([2100, 750, 150]);
    expect(mixture.at(1234)).toEqual(new Mixture([0.7, 0.25, 0.05], 3).at(1234));
  });
});

describe('noise', () => {
  test('has the moments of its distribution', () => {
    const values = new Float32Array(1_000_000);
    const moment = (power: number) => values.reduce((sum, value) => sum + value ** power, 0) / values.length;
    new PoolRandom(1, 2, 3).fillGaussian(values);
    expect(Math.abs(moment(1))).toBeLessThan(0.005);
    expect(Math.abs(moment(2) - 1)).toBeLessThan(0.01);
    expect(Math.abs(moment(4) - 3)).toBeLessThan(0.05);
    new PoolRandom(1, 2, 3).fillUniform(values);
    expect(Math.abs(moment(1))).toBeLessThan(0.002);
    expect(Math.abs(moment(2) - 1 / 12)).toBeLessThan(0.0005);
    expect(values.every((value) => value >= -0.5 && value < 0.5)).toBe(true);
  });

  test('pools change at refills only, offsets at every step, and all are functions of seed and step', () => {
    const demand = new Map([['gaussian', { draws: [1000, 300] }]] as const);
    const pool = new NoisePool(demand, 4);
    const feeds = (step: number) => new NoisePool(demand, 4).feeds(step, 1);
    const values = (step: number) => (feeds(step)['noise/gaussian']?.data as Float32Array).slice(0, 50);
    expect(values(0)).toEqual(values(refillEvery - 1));
    expect(values(0)).not.toEqual(values(refillEvery));
    expect(pool.nextRefill(refillEvery - 1)).toBe(refillEvery);
    const many = pool.feeds(0, 6)['noise/gaussian/offsets']?.data as BigInt64Array;
    const single = Array.from({ length: 6 }, (_, step) => [...(feeds(step)['noise/gaussian/offsets']?.data as BigInt64Array)]).flat();
    expect([...many]).toEqual(single);
    expect(new Set(single).size).toBe(12);
  });

  test('on a device a run spans several refills, and every step draws what a single step would', () => {
    const demand = new Map([
      ['gaussian', { draws: [1000, 300] }],
      ['uniform', { draws: [500] }],
    ] as const);
    const drawn = (pool: NoisePool, from: number, count: number): number[][] => {
      const feeds = pool.feeds(from, count);
      return Array.from({ length: count }, (_, index) =>
        [...demand].flatMap(([kind, { draws }]) => {
          const values = feeds[`noise/${kind}`]?.data as Float32Array;
          const offsets = feeds[`noise/${kind}/offsets`]?.data as BigInt64Array;
          return draws.flatMap((length, draw) => {
            const start = Number(offsets[index * draws.length + draw]);
            expect(start + length).toBeLessThanOrEqual(values.length);
            return [...values.subarray(start, start + length)];
          });
        }),
      );
    };
    const device = new NoisePool(demand, 4, true);
    const host = new NoisePool(demand, 4);
    expect(host.nextRefill(30)).toBe(refillEvery);
    expect(device.nextRefill(30)).toBeGreaterThan(3 * refillEvery);
    const alone = Array.from({ length: 2 * refillEvery }, (_, index) => drawn(host, 30 + index, 1)[0]);
    expect(drawn(device, 30, 2 * refillEvery)).toEqual(alone);
    // Within pools that are there already, and across their end.
    expect(drawn(device, 90, 20)).toEqual(alone.slice(60, 80));
    expect(drawn(device, 120, 10)).toEqual(alone.slice(90, 100));
    // A pool so large that two of them are too much.
    const large = new NoisePool(new Map([['uniform', { draws: [2 ** 25] }]] as const), 4, true);
    expect(large.nextRefill(0)).toBe(refillEvery);
  });
});

describe('records of a training', () => {
  test('a curve of at most 400 points, each the mean of its steps', () => {
    const curve = new TrainingCurve(1000);
    for (let step = 0; step < 1000; step += 1) curve.add(step, { loss: step, bits: 2 });
    const points = curve.sofar(1000);
    expect(points.length).toBeLessThanOrEqual(400);
    expect(points[0]).toEqual({ step: 3, loss: 1, metrics: { bits: 2 } });
    expect(points.at(-1)).toEqual({ step: 1000, loss: 999, metrics: { bits: 2 } });
  });

  test('the best state: lower loss; with a target, states at or under it first', () => {
    const at = (loss: number, bitsPerWeight: number, sizeMiB = 1, settled = true) => ({ loss, bitsPerWeight, sizeMiB, settled });
    const isBetter = (one: RatedEvaluation, other: RatedEvaluation | undefined, rule: BestRule): boolean =>
      comesBefore(rankOf(one, rule), other && rankOf(other, rule));
    expect(isBetter(at(1, 8), undefined, {})).toBe(true);
    expect(isBetter(at(1, 8), at(1, 8), {})).toBe(false);
    expect(isBetter(at(1, 8), at(2, 3), {})).toBe(true);
    expect(isBetter(at(1, 8, 4), at(2, 3, 1), { penalty: 1 })).toBe(false);
    expect(isBetter(at(2, 3), at(1, 8), { targetBits: 3 })).toBe(true);
    expect(isBetter(at(1, 3.5), at(2, 3), { targetBits: 3 })).toBe(false);
    expect(isBetter(at(1.5, 2), at(2, 3), { targetBits: 3 })).toBe(true);
    expect(isBetter(at(5, 4), at(1, 8), { targetBits: 3 })).toBe(true);
    expect(isBetter(at(2, 3), at(1, 3, 1, false), { targetBits: 3 })).toBe(true);
    expect(isBetter(at(1, 3, 1, false), at(2, 3), { targetBits: 3 })).toBe(false);
  });
});
