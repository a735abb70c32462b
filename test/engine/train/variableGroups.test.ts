import { expect, test } from 'vitest';
import type { Objective } from '../../../src/engine/train/objective';
import type { GroupSettings } from '../../../src/engine/train/optimizers/groups';
import { train } from '../../../src/engine/train/trainer';
import { workContext } from '../../support/workContext';
import { openRuntime } from '../../support/fixtures';

const runtime = await openRuntime();

const steps = 12;
/** Curvatures: the loss is half the sum of c v^2 over all variables, so the gradient is c v. */
const curvatures = [0.5, 2, 4];
const first = [1, -0.5, 0.25];

/** One group for each variable, no two alike. */
const groups: Readonly<Record<string, GroupSettings>> = {
  nesterov: { optimizer: 'sgd', rate: 0.05, schedule: 'constant', momentum: 0.9, nesterov: true, weightDecay: 0.1 },
  plainSgd: { optimizer: 'sgd', rate: 0.2, schedule: 'step' },
  adam: { optimizer: 'adam', rate: 0.03, schedule: 'cosine', weightDecay: 0.01 },
  adamw: { optimizer: 'adamw', rate: 0.01, schedule: 'constant', warmup: 4, weightDecay: 0.5 },
};

/** A group's learning rate at each step. */
const rates: Readonly<Record<string, (step: number) => number>> = {
  nesterov: () => 0.05,
  plainSgd: (step) => 0.2 * 0.1 ** Math.floor((3 * step) / steps),
  adam: (step) => (0.03 * (1 + Math.cos((Math.PI * step) / steps))) / 2,
  adamw: (step) => 0.01 * Math.min(1, (step + 1) / 4),
};

/** PyTorch's update rules (SGD, Adam, AdamW) in float64. */
function expected(group: string): readonly number[] {
  const { optimizer, momentum = 0, nesterov, weightDecay = 0 } = groups[group] as GroupSettings;
  return first.map((start, index) => {
    let [value, buffer, m, v] = [start, 0, 0, 0];
    for (let step = 0; step < steps; step += 1) {
      const rate = rates[group]?.(step) as number;
      let gradient = (curvatures[index] as number) * value;
      if (optimizer === 'adamw') value *= 1 - rate * weightDecay;
      else gradient += weightDecay * value;
      if (optimizer === 'sgd') {
        buffer = step === 0 ? gradient : momentum * buffer + gradient;
        value -= rate * (nesterov ? gradient + momentum * buffer : momentum === 0 ? gradient : buffer);
        continue;
      }
      m = 0.9 * m + 0.1 * gradient;
      v = 0.999 * v + 0.001 * gradient ** 2;
      const corrected = Math.sqrt(v) / Math.sqrt(1 - 0.999 ** (step + 1)) + 1e-8;
      value -= ((rate / (1 - 0.9 ** (step + 1))) * m) / corrected;
    }
    return value;
  });
}

test('each group uses its own optimiser, rate and schedule', async () => {
  const names = Object.keys(groups);
  const objective: Objective<ReadonlyMap<string, Float32Array>> = {
    variables: [
      ...names.map((name) => ({ name, shape: [3], group: name, initial: async () => Float32Array.from(first) })),
      { name: 'counter', shape: [], group: undefined, initial: async () => new Float32Array(1) },
      { name: 'still', shape: [1], group: undefined, initial: async () => Float32Array.of(7) },
    ],
    frozen: [{ name: 'curvatures', shape: [3], values: async () => Float32Array.from(curvatures) }],
    scalars: (step) => ({ half: 0.5, step }),
    addLoss: (step) => {
      const { build } = step;
      const parts = names.map((name) => build.op('Mul', [build.op('Mul', [step.value(name), step.value(name)]), step.value('curvatures')]));
      const sum = build.op('ReduceSum', [build.op('Concat', parts, { axis: { kind: 'int', value: 0 } })], {
        keepdims: { kind: 'int', value: 0 },
      });
      const counted = build.op('Add', [step.value('counter'), step.scalar('step')]);
      return { target: build.op('Mul', [sum, step.scalar('half')]), next: { counter: counted }, metrics: { twice: sum } };
    },
    evaluate: async (_values, step) => ({ evaluation: { step, loss: 0, value: 0, metric: 'loss' }, rank: [-step] }),
    result: (values) => new Map([...names, 'counter', 'still'].map((name) => [name, values(name).slice()])),
  };
  const data = { description: 'none', samples: 1, batch: () => ({}) };
  const { result, curve } = await train({ spec: { steps, batch: 1 }, objective, groups, data, context: workContext(runtime) });
  for (const name of names)
    expected(name).forEach((value, index) => expect(result.get(name)?.[index], `${name}[${index}]`).toBeCloseTo(value, 6));
  expect(result.get('counter')?.[0]).toBe((steps * (steps - 1)) / 2);
  expect(result.get('still')?.[0]).toBe(7);
  const energy = names.length * curvatures.reduce((sum, curvature, index) => sum + curvature * (first[index] as number) ** 2, 0);
  expect(curve[0]?.loss).toBeCloseTo(energy / 2, 5);
  expect(curve[0]?.metrics['twice']).toBeCloseTo(energy, 5);
});
