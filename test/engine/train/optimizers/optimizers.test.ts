import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { differentiate } from '../../../../src/engine/autodiff/differentiate';
import { GraphBuilder } from '../../../../src/engine/graph/builder';
import type { Value } from '../../../../src/engine/graph/graph';
import { binaryCrossEntropy, crossEntropy, divergence, meanSquaredError } from '../../../../src/engine/kernels/losses';
import { operators } from '../../../../src/engine/ops';
import type { RuntimeTensor } from '../../../../src/engine/runtime/types';
import { clippedGradients } from '../../../../src/engine/train/clip';
import { adam } from '../../../../src/engine/train/optimizers/adam';
import type { Optimizer } from '../../../../src/engine/train/optimizers/optimizer';
import { rateFactor, type Schedule } from '../../../../src/engine/train/optimizers/schedule';
import { sgd } from '../../../../src/engine/train/optimizers/sgd';
import { openRuntime } from '../../../support/fixtures';

interface Golden {
  readonly start: readonly number[];
  readonly gradients: readonly (readonly number[])[];
  readonly cases: readonly {
    readonly optimizer: 'sgd' | 'adam' | 'adamw';
    readonly rate: number;
    readonly settings: Readonly<Record<string, number>>;
    readonly clip?: number;
    readonly path: readonly (readonly number[])[];
  }[];
  readonly schedules: readonly (Schedule & { readonly factors: readonly number[] })[];
  readonly losses: readonly {
    readonly loss: 'cross-entropy' | 'binary' | 'mse' | 'divergence';
    readonly shape: readonly number[];
    readonly outputs: readonly number[];
    readonly target: readonly number[];
    readonly targetShape: readonly number[];
    readonly value: number;
    readonly gradient: readonly number[];
    readonly temperature?: number;
  }[];
}

const golden = JSON.parse(readFileSync(new URL('../../../golden/training/optimizers.json', import.meta.url), 'utf8')) as Golden;

const runtime = await openRuntime();

const vector = (values: ArrayLike<number>): RuntimeTensor => ({
  dtype: 'float32',
  shape: [values.length],
  data: Float32Array.from(values),
});

function close(actual: ArrayLike<number>, expected: readonly number[], where: string): void {
  expected.forEach((value, index) => {
    const error = Math.abs((actual[index] as number) - value);
    expect(error, `${where}, element ${index}: ${actual[index]} against ${value}`).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(value)));
  });
}

/** Runs one update after another, as a graph for one step. */
async function follow(optimizer: Optimizer, rate: number, clip: number | undefined): Promise<readonly Float32Array[]> {
  const build = new GraphBuilder(operators, 'update');
  const type = { dtype: 'float32' as const, shape: [golden.start.length] };
  const value = build.input('value', type);
  const [gradient] = clippedGradients(build, [build.input('gradient', type)], clip);
  const slots = Object.fromEntries(optimizer.slots.map((slot) => [slot, build.input(slot, type)]));
  const scalars = Object.fromEntries(optimizer.scalarNames.map((name) => [name, build.input(name, { dtype: 'float32', shape: [] })]));
  const updated = optimizer.update(build, { value, gradient: gradient as Value, slots, scalars });
  build.output(updated.value, 'next');
  for (const [slot, next] of Object.entries(updated.slots)) build.output(next, `next/${slot}`);
  const session = await runtime.createFromGraph(build.finish(), { keep: false });
  const path: Float32Array[] = [];
  let now: Record<string, RuntimeTensor> = {
    value: vector(golden.start),
    ...Object.fromEntries(optimizer.slots.map((slot) => [slot, vector(new Float32Array(golden.start.length))])),
  };
  for (const [step, values] of golden.gradients.entries()) {
    const given = Object.entries(optimizer.scalars(step, rate)).map(
      ([name, scalar]) => [name, { dtype: 'float32', shape: [], data: Float32Array.of(scalar) }] as const,
    );
    const results = await session.run({ ...now, gradient: vector(values), ...Object.fromEntries(given) });
    now = {
      value: results['next'] as RuntimeTensor,
      ...Object.fromEntries(optimizer.slots.map((slot) => [slot, results[`next/${slot}`] as RuntimeTensor])),
    };
    path.push(now['value']?.data as Float32Array);
  }
  await session.release();
  return path;
}

describe('optimisers match PyTorch', () => {
  for (const { optimizer, rate, settings, clip, path } of golden.cases)
    test(`${optimizer} ${JSON.stringify(settings)}${clip === undefined ? '' : `, clipped at ${clip}`}`, async () => {
      const made = optimizer === 'sgd' ? sgd(settings) : adam(optimizer, settings);
      const found = await follow(made, rate, clip);
      path.forEach((expected, step) => close(found[step] as Float32Array, expected, `step ${step}`));
    });
});

describe('learning rates follow their schedule', () => {
  for (const { factors, ...schedule } of golden.schedules)
    test(JSON.stringify(schedule), () => {
      close(
        factors.map((_, step) => rateFactor(schedule, step)),
        factors,
        'factor',
      );
    });
});

describe('losses and their gradients match PyTorch', () => {
  for (const row of golden.losses)
    test(`${row.loss} of [${row.shape.join(', ')}]${row.temperature === undefined ? '' : ` at ${row.temperature}`}`, async () => {
      const build = new GraphBuilder(operators, 'loss');
      const outputs = build.input('outputs', { dtype: 'float32', shape: row.shape });
      const whole = row.loss === 'cross-entropy';
      const target = build.input('target', { dtype: whole ? 'int64' : 'float32', shape: row.targetShape });
      const loss =
        row.loss === 'cross-entropy'
          ? crossEntropy(build, outputs, target)
          : row.loss === 'binary'
            ? binaryCrossEntropy(build, outputs, target)
            : row.loss === 'mse'
              ? meanSquaredError(build, outputs, target)
              : divergence(build, outputs, target, row.temperature as number);
      // A factor shows that the gradient from behind is used.
      const doubled = build.op('Mul', [loss.value, build.float32(2)]);
      const [gradient] = differentiate(build, doubled, [outputs], { rules: operators, custom: [loss.region] });
      build.output(loss.value, 'value');
      build.output(gradient as Value, 'gradient');
      const session = await runtime.createFromGraph(build.finish(), { keep: false });
      const result = await session.run({
        outputs: { dtype: 'float32', shape: row.shape, data: Float32Array.from(row.outputs) },
        target: whole
          ? { dtype: 'int64', shape: row.targetShape, data: BigInt64Array.from(row.target, BigInt) }
          : { dtype: 'float32', shape: row.targetShape, data: Float32Array.from(row.target) },
      });
      close(result['value']?.data as Float32Array, [row.value], 'value');
      close(
        result['gradient']?.data as Float32Array,
        row.gradient.map((value) => 2 * value),
        'gradient',
      );
      await session.release();
    });
});
