import { describe, expect, test } from 'vitest';
import { dequantizeLearned, learnedBits } from '../../../../src/engine/formats/archive/dequantizeLearned';
import { SeededRandom } from '../../../../src/common/random';
import type { LearnedTensor } from '../../../../src/engine/formats/archive/learnedTensor';
import { decodeLearned, encodeLearned } from '../../../../src/engine/formats/archive/learnedData';
import { bitsOfLogits, logitOf } from '../../../../src/engine/kernels/bitWidths';
import { describeWeightMethods, findWeightMethod, weightMethods } from '../../../../src/engine/train/methods/index';
import { planMethod } from '../../../../src/engine/train/planMethod';
import { heldOrder, planFor, runMethod, stateOf, trainable, type SmallWeight } from '../../../support/methodStep';

const random = new SeededRandom(11);
const normals = (count: number, scale = 0.1): Float32Array => Float32Array.from({ length: count }, () => scale * random.nextNormal());
const matrix = (name: string, outputs: number, inputs: number, more: Partial<SmallWeight> = {}): SmallWeight => ({
  name,
  shape: [outputs, inputs],
  weights: normals(outputs * inputs),
  ...more,
});
const published = { parametrisation: 'bits', minimum: 2, maximum: 15 } as const;
const only = (tensors: readonly LearnedTensor[]): LearnedTensor => tensors[0] as LearnedTensor;

describe('the registry', () => {
  test('finds methods by id and lists them for an unknown id', () => {
    expect(findWeightMethod('diffq').learnsWidths).toBe(true);
    expect(() => findWeightMethod('difq')).toThrow(/Methods: diffq, qat.*Did you mean 'diffq'/);
    expect(describeWeightMethods().map(({ id }) => id)).toEqual(weightMethods.map(({ id }) => id));
  });

  test('a plan refuses unknown parameters, contradictions, and targets of methods without widths', async () => {
    const model = { parameters: [trainable(matrix('w', 4, 8))] };
    const spec = { method: 'diffq', steps: 10, parameters: {} };
    await expect(planMethod({ ...spec, parameters: { bitz: 3 } }, model)).rejects.toThrow(/bitz/);
    await expect(planMethod({ ...spec, parameters: { initBits: 15 } }, model)).rejects.toThrow(/minBits < initBits < maxBits/);
    await expect(planMethod({ ...spec, method: 'qat', targetBits: 3 }, model)).rejects.toThrow(/does not learn widths/);
    await expect(planMethod({ ...spec, targetBits: 1.5, minimumSize: 0 }, model)).rejects.toThrow(/cannot be met/);
  });
});

describe('DiffQ', () => {
  test.each(['bits', 'noise'] as const)('initial widths are reproduced: %s', (parametrisation) => {
    for (const [minimum, bits, maximum] of [
      [2, 8, 15],
      [1, 1.5, 9],
      [2, 14.5, 15],
    ] as const) {
      const range = { parametrisation, minimum, maximum };
      expect(Math.abs((bitsOfLogits(Float32Array.of(logitOf(bits, range)), range)[0] as number) - bits)).toBeLessThan(1e-5);
    }
    expect(logitOf(8, { ...published, parametrisation })).toBeCloseTo(parametrisation === 'bits' ? -0.15415068 : -0.08894594, 7);
  });

  test('size of the published example: 16,384 weights in groups of 8 at 8 bits', () => {
    const weights = [matrix('w', 128, 128)];
    const plan = planFor('diffq', weights, { settle: 0 }, { penalty: 1 });
    const { trueBits, estimatedBits } = plan.sizes(stateOf(plan, weights));
    expect(trueBits).toBe(137_288);
    expect(estimatedBits).toBeCloseTo(137_288, 1);
    expect(trueBits / 16_384).toBeCloseTo(8.3794, 4);
    const tensor = only(plan.realize(stateOf(plan, weights)));
    expect(learnedBits(tensor)).toBe(137_288);
  });

  test.each(['gaussian', 'uniform'] as const)('%s noise has the standard deviation of the formula within 2 percent', async (noise) => {
    const weights = [matrix('w', 64, 1024)];
    const plan = planFor('diffq', weights, { noise, initBits: 5, settle: 0, clipRange: 0 }, { penalty: 1 });
    const { w } = await runMethod({
      plan,
      weights,
      task: (build, forward, held) => {
        const difference = build.op('Sub', [forward.weights['w'] ?? held('w'), held('w')]);
        return { target: forward.size ?? build.float32(0), outputs: { w: difference } };
      },
    });
    const differences = w as Float32Array;
    const deviation = Math.sqrt(differences.reduce((sum, value) => sum + value * value, 0) / differences.length);
    const own = weights[0]!.weights;
    const step = (own.reduce((a, b) => Math.max(a, b)) - own.reduce((a, b) => Math.min(a, b))) / (2 ** 5 - 1);
    expect(deviation / (step * (noise === 'gaussian' ? 0.5 : Math.sqrt(1 / 12)))).toBeCloseTo(1, 1.7);
    expect(Math.abs(deviation / (step * (noise === 'gaussian' ? 0.5 : Math.sqrt(1 / 12))) - 1)).toBeLessThan(0.02);
  });

  test('rounded weights are at most half a step away in any layout', () => {
    for (const weight of [
      matrix('w', 12, 40),
      matrix('w', 5, 7),
      matrix('w', 6, 20, { held: 'canonical' }),
      { name: 'w', shape: [4, 3, 3, 3], weights: normals(108) },
    ])
      for (const groupSize of [8, 16, 'tensor']) {
        const plan = planFor('diffq', [weight], { groupSize, settle: 0, clipRange: 0 }, { penalty: 1 });
        const logits = (plan.variables[0]?.initial as Float32Array).map(() => 3 * random.nextNormal());
        const tensor = only(plan.realize(stateOf(plan, [weight], { 'logits/w': logits })));
        const size = tensor.groupSize === 0 ? weight.weights.length : tensor.groupSize;
        dequantizeLearned(tensor).forEach((value, index) => {
          const step = (tensor.maximum - tensor.minimum) / (2 ** (tensor.bits[Math.floor(index / size)] as number) - 1);
          expect(Math.abs(value - (weight.weights[index] as number))).toBeLessThanOrEqual(step * 0.5 + 1e-6);
        });
      }
  });

  test('a constant tensor is unchanged, and its gradients are finite', async () => {
    const weights: SmallWeight[] = [{ name: 'w', shape: [4, 16], weights: new Float32Array(64).fill(0.75) }];
    const plan = planFor('diffq', weights, { settle: 0 }, { penalty: 1 });
    expect([...dequantizeLearned(only(plan.realize(stateOf(plan, weights))))]).toEqual([...weights[0]!.weights]);
    const results = await runMethod({
      plan,
      weights,
      task: (build, forward, held) => ({
        target: build.op('ReduceSum', [forward.weights['w'] ?? held('w')], { keepdims: { kind: 'int', value: 0 } }),
      }),
    });
    for (const name of ['gradient/w', 'gradient/logits/w']) expect(results[name]?.every(Number.isFinite), name).toBe(true);
  });

  test('extra bits below 0 give widths below the smallest learned one, which the table can still store', () => {
    const weights = [matrix('w', 8, 64)];
    const plan = planFor('diffq', weights, { extraBits: -1, settle: 0 }, { penalty: 1 });
    const logits = (plan.variables[0]?.initial as Float32Array).map((_, group) => (group % 2 === 0 ? -20 : logitOf(6, published)));
    const tensor = only(plan.realize(stateOf(plan, weights, { 'logits/w': logits })));
    expect([...new Set(tensor.bits)].sort()).toEqual([1, 5]);
    const { fields, bytes } = encodeLearned(tensor);
    const data = [0, bytes.length] as const;
    expect(decodeLearned({ ...fields, data }, bytes, (_, message) => new Error(message))).toEqual(tensor);
  });

  test('excluded, small and tied tensors; a tensor that is not used keeps its widths', async () => {
    const weights = [
      matrix('block.kept', 16, 32),
      matrix('block.left', 16, 32),
      matrix('block.small', 4, 8),
      matrix('embedding', 16, 32, { tiedTo: ['head'] }),
      matrix('idle', 16, 32, { used: false }),
    ];
    const plan = planFor('diffq', weights, {}, { penalty: 1, exclude: ['*.left'], minimumSize: 0.001 });
    expect(plan.quantized).toEqual(['block.kept', 'embedding', 'idle']);
    expect(planFor('diffq', weights, {}, { penalty: 1, exclude: ['head', 'kept'] }).quantized).toEqual([
      'block.left',
      'block.small',
      'idle',
    ]);
    expect(plan.variables.find(({ name }) => name === 'logits/idle')?.group).toBeUndefined();
    const results = await runMethod({
      plan,
      weights,
      task: (build, forward) => ({ target: forward.size ?? build.float32(0) }),
    });
    expect(results['gradient/logits/block.kept']?.every((value) => value > 0)).toBe(true);
  });

  test('a target is met closely and never exceeded, and the order of the learned widths is kept', () => {
    const weights = [matrix('a', 32, 64), matrix('b', 16, 50)];
    for (const targetBits of [2.6, 3, 4.25, 9]) {
      const plan = planFor('diffq', weights, { settle: 0 }, { targetBits });
      const variables = Object.fromEntries(
        plan.variables
          .filter(({ name }) => name.startsWith('logits/'))
          .map(({ name, initial }) => [name, initial.map(() => random.nextNormal())]),
      );
      const state = stateOf(plan, weights, variables);
      const tensors = plan.realize(state);
      const entries = 32 * 64 + 16 * 50;
      const average = tensors.reduce((sum, tensor) => sum + learnedBits(tensor), 0) / entries;
      expect(average).toBeLessThanOrEqual(targetBits);
      expect(average).toBeGreaterThan(targetBits - 0.02);
      expect(plan.sizes(state).trueBits / entries).toBeCloseTo(average, 9);
      const logits = heldOrder({ shape: [8, 32] }, variables['logits/a'] as Float32Array);
      const order = Array.from(logits.keys()).sort((x, y) => (logits[x] as number) - (logits[y] as number));
      const sorted = order.map((group) => tensors[0]?.bits[group] as number);
      for (let index = 1; index < sorted.length; index += 1)
        expect(sorted[index]).toBeGreaterThanOrEqual((sorted[index - 1] as number) - 1);
    }
  });

  test('settled: widths and ends are frozen, weights are rounded, the gradient passes straight through, logits get none', async () => {
    const weights = [matrix('w', 8, 32)];
    const plan = planFor('diffq', weights, { settle: 0.5 }, { targetBits: 4, steps: 100 });
    expect(plan.refresh?.every).toBe(50);
    const before = stateOf(plan, weights, { 'logits/w': normals(32, 1) });
    const frozen = plan.refresh?.apply(before, 50) as Record<string, Float32Array>;
    const variables = { 'logits/w': normals(32, 1), ...frozen };
    const state = stateOf(plan, weights, variables);
    expect(plan.refresh?.apply(state, 50)).toEqual({});
    expect(only(plan.realize(state)).bits).toEqual(only(plan.realize(before)).bits);
    const pattern = normals(256, 1);
    const run = (step: number) =>
      runMethod({
        plan,
        weights,
        variables,
        step,
        task: (build, forward, held) => {
          const w = forward.weights['w'] ?? held('w');
          const loss = build.op('ReduceSum', [build.op('Mul', [w, build.float32([...pattern], [32, 8])])], {
            keepdims: { kind: 'int', value: 0 },
          });
          const penalty = build.op('Mul', [forward.size ?? loss, forward.penalty ?? loss]);
          return { target: build.op('Add', [loss, penalty]), outputs: { w } };
        },
      });
    const settled = await run(60);
    const rounded = heldOrder(weights[0]!, dequantizeLearned(only(plan.realize(state))));
    settled['w']?.forEach((value, index) => expect(value).toBeCloseTo(rounded[index] as number, 6));
    expect([...(settled['gradient/w'] ?? [])]).toEqual([...pattern]);
    expect(settled['gradient/logits/w']?.every((value) => value === 0)).toBe(true);
    expect(settled['carry/steering']).toEqual(plan.variables.find(({ name }) => name === 'steering')?.initial);
    const learning = await run(10);
    expect(learning['gradient/logits/w']?.some((value) => value !== 0)).toBe(true);
  });
});

describe('companions', () => {
  test('QAT with 5.5 bits stores 45 levels that match the formula', () => {
    const weights = [matrix('w', 16, 16)];
    const plan = planFor('qat', weights, { bits: 5.5 });
    const tensor = only(plan.realize(stateOf(plan, weights)));
    const levels = Math.floor(2 ** 5.5) - 1;
    expect(Math.max(...tensor.levels)).toBe(levels);
    const largest = Math.max(...weights[0]!.weights);
    const expected = tensor.minimum + ((largest - tensor.minimum) * levels) / (2 ** 5.5 - 1);
    expect(Math.max(...dequantizeLearned(tensor))).toBeCloseTo(expected, 6);
  });

  test.each([
    ['scalar', 0.5],
    ['scalar', 0],
    ['blocks', 0.25],
  ] as const)('Quant-Noise adds noise to the requested share: %s %d', async (noise, rate) => {
    const weights = [matrix('w', 64, 256)];
    const plan = planFor('quant-noise', weights, { noise, share: rate, bits: 3 });
    const { w } = await runMethod({
      plan,
      weights,
      task: (build, forward, held) => {
        const made = forward.weights['w'] ?? held('w');
        return { target: build.op('ReduceSum', [made], { keepdims: { kind: 'int', value: 0 } }), outputs: { w: made } };
      },
    });
    const before = heldOrder(weights[0]!, weights[0]!.weights);
    const made = w as Float32Array;
    const share = made.filter((value, index) => (noise === 'blocks' ? value === 0 : value !== before[index])).length / made.length;
    expect(Math.abs(share - rate)).toBeLessThan(0.03);
    if (noise === 'blocks')
      made.forEach((value, index) => {
        if (value !== 0) expect(value).toBeCloseTo((before[index] as number) / (1 - rate), 5);
      });
  });

  test('PQK prunes by its schedule, stores zeros, and trains only the kept weights of the student in phase 2', async () => {
    const weights = [matrix('w', 16, 32)];
    const plan = planFor('pqk', weights, { sparsity: 0.75, bits: 4, teaching: 0.5 }, { steps: 200 });
    const every = plan.refresh?.every as number;
    const half = plan.refresh?.apply(stateOf(plan, weights), 50 - (50 % every)) as Record<string, Float32Array>;
    const full = plan.refresh?.apply(stateOf(plan, weights), 100 + ((every - (100 % every)) % every)) as Record<string, Float32Array>;
    expect(half['threshold/w']![0]).toBeLessThan(full['threshold/w']![0] as number);
    // What is kept as the result has the whole share pruned.
    const settled = plan.refresh?.apply(stateOf(plan, weights), plan.settledFrom as number) as Record<string, Float32Array>;
    expect(plan.settledFrom).toBeGreaterThanOrEqual(100);
    expect(settled).toEqual(full);
    const tensor = only(plan.realize(stateOf(plan, weights, full)));
    const values = dequantizeLearned(tensor);
    expect(values.filter((value) => Math.abs(value) < 1e-7).length / values.length).toBeGreaterThanOrEqual(0.75);
    const gradientAt = async (step: number, pass: string): Promise<number> => {
      const results = await runMethod({
        plan,
        weights,
        variables: full,
        step,
        pass,
        task: (build, forward, held) => ({
          target: build.op('ReduceSum', [forward.weights['w'] ?? held('w')], { keepdims: { kind: 'int', value: 0 } }),
        }),
      });
      return (results['gradient/w'] as Float32Array).filter((value) => value !== 0).length / 512;
    };
    expect(await gradientAt(10, 'student')).toBe(1);
    expect(await gradientAt(150, 'student')).toBeCloseTo(0.25, 2);
    expect(await gradientAt(150, 'teacher')).toBe(1);
  });
});
