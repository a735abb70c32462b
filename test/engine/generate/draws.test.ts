import fc from 'fast-check';
import { describe, expect } from 'vitest';
import type { Drawing } from '../../../src/engine/generate/advance';
import { scheduledTemperature } from '../../../src/engine/generate/advance';
import { drawGraph } from '../../../src/engine/generate/generationGraphs';
import type { Sampling } from '../../../src/engine/generate/sampling';
import { uniformsOf } from '../../../src/engine/generate/uniforms';
import { GraphBuilder } from '../../../src/engine/graph/builder';
import { operators } from '../../../src/engine/ops';
import type { Runtime, RuntimeTensor } from '../../../src/engine/runtime/types';
import { test } from '../../support/fixtures';
import { propertySeed } from '../../support/propertySeed';

/** What is drawn, and from what; every row has the same logits unless `rows` says otherwise. */
interface Case {
  readonly logits: readonly number[];
  readonly sampling?: Partial<Sampling>;
  readonly temperature?: number;
  readonly uniform: Float32Array;
  readonly seen?: readonly number[];
  readonly end?: Drawing['end'];
  readonly token?: number;
  readonly index?: number;
}

interface Outcome {
  readonly tokens: readonly number[];
  readonly results: Readonly<Record<string, RuntimeTensor>>;
}

async function draw(runtime: Runtime, { logits, sampling = {}, temperature = 1, uniform, seen = [], ...more }: Case): Promise<Outcome> {
  const { end = { kind: 'none' }, token = 0, index = 1 } = more;
  const [vocabulary, batch] = [logits.length, uniform.length];
  const session = await runtime.createFromGraph(drawGraph({ vocabulary, sampling: { greedy: false, ...sampling }, end }), { keep: false });
  const vector = (value: number): RuntimeTensor => ({ dtype: 'float32', shape: [batch], data: new Float32Array(batch).fill(value) });
  const repeated = (row: readonly number[]): RuntimeTensor => {
    const data = new Float32Array(batch * vocabulary);
    for (let at = 0; at < batch; at += 1) data.set(row, at * vocabulary);
    return { dtype: 'float32', shape: [batch, vocabulary], data };
  };
  const penalty = sampling.repetitionPenalty !== undefined;
  const results = await session.run({
    logits: repeated(logits),
    token: { dtype: 'int64', shape: [batch], data: new BigInt64Array(batch).fill(BigInt(token)) },
    index: vector(index),
    first_temperature: vector(temperature),
    last_temperature: vector(temperature),
    schedule_length: vector(0),
    uniform: { dtype: 'float32', shape: [batch], data: uniform },
    ...(penalty && { seen: repeated(logits.map((_, at) => (seen.includes(at) ? 1 : 0))) }),
    ...(end.kind === 'stop' && { finished: { dtype: 'bool' as const, shape: [batch], data: new Uint8Array(batch) } }),
  });
  await session.release();
  return { tokens: Array.from(results['drawn']?.data as BigInt64Array, Number), results };
}

/** Probabilities in float64. */
function softmax(logits: readonly number[], temperature: number): readonly number[] {
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp((logit - largest) / temperature));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers.map((value) => value / sum);
}

/** Pearson's statistic of counts against probabilities; degrees of freedom are one less than the tokens of positive probability. */
function chiSquare(tokens: readonly number[], probabilities: readonly number[]): { readonly statistic: number; readonly freedom: number } {
  const counts = probabilities.map(() => 0);
  for (const token of tokens) counts[token] = (counts[token] as number) + 1;
  let statistic = 0;
  for (const [token, probability] of probabilities.entries()) {
    if (probability === 0) {
      expect(counts[token]).toBe(0);
      continue;
    }
    const expected = probability * tokens.length;
    statistic += ((counts[token] as number) - expected) ** 2 / expected;
  }
  return { statistic, freedom: probabilities.filter((probability) => probability > 0).length - 1 };
}

/** Exceeded by one of 10,000 sound samples (Wilson and Hilferty, 1931). */
function limitOf(freedom: number): number {
  const part = 2 / (9 * freedom);
  return freedom * (1 - part + 3.719 * Math.sqrt(part)) ** 3;
}

function expectAgrees(tokens: readonly number[], probabilities: readonly number[]): void {
  const { statistic, freedom } = chiSquare(tokens, probabilities);
  expect(statistic).toBeLessThan(limitOf(freedom));
}

const draws = 100_000;
const ofOneSequence = (seed: number): Float32Array => {
  const next = uniformsOf(seed, 0);
  return Float32Array.from({ length: draws }, () => next());
};
const ofManySequences = (seed: number): Float32Array => Float32Array.from({ length: draws }, (_, sequence) => uniformsOf(seed, sequence)());
const eleven = [2, -1, 0.5, 0, 1.7, -0.3, 0.2, -2, 1, 0.9, -0.6];

describe('100,000 draws agree with the softmax', () => {
  test.for([0.5, 1, 1.5])('at temperature %d', async (temperature, { runtime }) => {
    const expected = softmax(eleven, temperature);
    expectAgrees((await draw(runtime, { logits: eleven, temperature, uniform: ofOneSequence(1) })).tokens, expected);
    expectAgrees((await draw(runtime, { logits: eleven, temperature, uniform: ofManySequences(2) })).tokens, expected);
  });

  test('and a wrong temperature is noticed', async ({ runtime }) => {
    const { tokens } = await draw(runtime, { logits: eleven, temperature: 1.03, uniform: ofOneSequence(1) });
    const { statistic, freedom } = chiSquare(tokens, softmax(eleven, 1));
    expect(statistic).toBeGreaterThan(limitOf(freedom));
  });

  // 97 is prime: the last block is padded.
  test.for([2, 64, 97])('over %d tokens', async (vocabulary, { runtime }) => {
    const logits = Array.from({ length: vocabulary }, (_, token) => Math.sin(7 * token));
    expectAgrees((await draw(runtime, { logits, uniform: ofOneSequence(3) })).tokens, softmax(logits, 1));
  });

  test('limited to the most probable tokens', async ({ runtime }) => {
    const order = eleven.map((_, token) => token).sort((a, b) => (eleven[b] as number) - (eleven[a] as number));
    const only = (kept: readonly number[], temperature: number) =>
      softmax(
        eleven.map((logit, token) => (kept.includes(token) ? logit : -Infinity)),
        temperature,
      );
    const top = await draw(runtime, { logits: eleven, sampling: { topK: 4 }, temperature: 0.8, uniform: ofOneSequence(4) });
    expectAgrees(top.tokens, only(order.slice(0, 4), 0.8));
    const probabilities = softmax(eleven, 1);
    const kept = order.filter((_, rank) => order.slice(0, rank).reduce((sum, token) => sum + (probabilities[token] as number), 0) < 0.7);
    expect(kept.length).toBeGreaterThan(2);
    expectAgrees((await draw(runtime, { logits: eleven, sampling: { topP: 0.7 }, uniform: ofOneSequence(5) })).tokens, only(kept, 1));
    const one = await draw(runtime, { logits: eleven, sampling: { topP: 0.01 }, uniform: ofOneSequence(6) });
    expect(new Set(one.tokens)).toEqual(new Set([0]));
  });

  test('with a repetition penalty', async ({ runtime }) => {
    const seen = [0, 1, 3];
    const penalised = eleven.map((logit, token) => (seen.includes(token) ? (logit > 0 ? logit / 1.3 : logit * 1.3) : logit));
    const { tokens } = await draw(runtime, { logits: eleven, sampling: { repetitionPenalty: 1.3 }, seen, uniform: ofOneSequence(7) });
    expectAgrees(tokens, softmax(penalised, 1));
  });
});

test('tokens without probability are never drawn, not even at the ends of the interval', async ({ runtime }) => {
  const logits = [-Infinity, 0, -Infinity, 0, -Infinity];
  const { tokens } = await draw(runtime, { logits, uniform: Float32Array.of(2 ** -24, 0.5, 0.5 + 2 ** -24, 1) });
  expect(tokens).toEqual([1, 1, 3, 3]);
});

test('greedy draws take the first of the largest', async ({ runtime }) => {
  const { tokens } = await draw(runtime, { logits: [0, 3, 1, 3], sampling: { greedy: true }, uniform: Float32Array.of(1, 0.5) });
  expect(tokens).toEqual([1, 1]);
});

describe('a document that ends', () => {
  const uniform = Float32Array.of(0.5);
  const index = async (outcome: Promise<Outcome>) => ((await outcome).results['index/after'] as RuntimeTensor).data[0];
  const packed = { logits: [0, 5, 0, 0], uniform, index: 9 };

  test('is followed by the start token, and the schedule starts again behind it', async ({ runtime }) => {
    const end = { kind: 'pack', ends: [2], start: 3 } as const;
    expect((await draw(runtime, { ...packed, end, token: 2 })).tokens).toEqual([3]);
    expect(await index(draw(runtime, { ...packed, end, token: 2 }))).toBe(1);
    expect((await draw(runtime, { ...packed, end, token: 0 })).tokens).toEqual([1]);
    expect(await index(draw(runtime, { ...packed, end, token: 0 }))).toBe(10);
  });

  test('starts the next one itself where there is no start token, or it is that', async ({ runtime }) => {
    for (const start of [undefined, 2]) {
      const end = { kind: 'pack', ends: [2], start } as const;
      expect((await draw(runtime, { ...packed, end, token: 2 })).tokens).toEqual([1]);
      expect(await index(draw(runtime, { ...packed, end, token: 2 }))).toBe(2);
    }
  });

  test('finishes its sequence where sequences stop', async ({ runtime }) => {
    const finished = async (ends: readonly number[]) =>
      ((await draw(runtime, { logits: [0, 50], uniform, end: { kind: 'stop', ends } })).results['finished/after'] as RuntimeTensor).data[0];
    expect(await finished([1])).toBe(1);
    expect(await finished([0])).toBe(0);
  });
});

test('the temperature follows its schedule', async ({ runtime }) => {
  const build = new GraphBuilder(operators, 'schedule');
  const input = (name: string) => build.input(name, { dtype: 'float32', shape: ['batch'] });
  build.output(
    scheduledTemperature(build, input('index'), { first: input('first'), last: input('last'), length: input('length') }),
    'temperature',
  );
  const session = await runtime.createFromGraph(build.finish(), { keep: false });
  const vector = (value: number): RuntimeTensor => ({ dtype: 'float32', shape: [1], data: Float32Array.of(value) });
  const at = async (index: number, first: number, last: number, length: number): Promise<number> => {
    const results = await session.run({ index: vector(index), first: vector(first), last: vector(last), length: vector(length) });
    return (results['temperature'] as RuntimeTensor).data[0] as number;
  };
  const temperature = fc.integer({ min: 1, max: 400 }).map((value) => value / 64);
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 3000 }),
      temperature,
      temperature,
      fc.integer({ min: 0, max: 2000 }),
      async (index, first, last, length) => {
        const expected = length === 0 ? last : first + Math.min(index / length, 1) * (last - first);
        const given = await at(index, first, last, length);
        expect(Math.abs(given - expected)).toBeLessThan(1e-5);
        if (index >= length) expect(given).toBe(last);
      },
    ),
    { seed: propertySeed, numRuns: 200 },
  );
  await session.release();
});
