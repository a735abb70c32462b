import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SeededRandom } from '../../../src/common/random';
import { encodeModel } from '../../../src/engine/formats/onnx/encodeModel';
import { openSafetensors } from '../../../src/engine/formats/safetensors/openSafetensors';
import { GraphBuilder, int } from '../../../src/engine/graph/builder';
import type { Node, Value } from '../../../src/engine/graph/graph';
import { operators } from '../../../src/engine/ops/index';
import type { RuntimeTensor } from '../../../src/engine/runtime/types';
import { addLoss } from '../../../src/engine/train/loss';
import type { OpenTrainable } from '../../../src/engine/train/models/graphTrainable';
import { openTrainable } from '../../../src/engine/train/models/openTrainable';
import { longestDraw } from '../../../src/engine/train/noisePool';
import type { Objective } from '../../../src/engine/train/objective';
import { optimizerGroups } from '../../../src/engine/train/optimizers/groups';
import { layOutState } from '../../../src/engine/train/state';
import { buildStepGraph } from '../../../src/engine/train/stepGraph';
import { train } from '../../../src/engine/train/trainer';
import type { TrainRequest } from '../../../src/engine/train/trainRequest';
import { wholeTensorUpdates } from '../../../src/engine/train/updates/wholeTensor';
import { workContext } from '../../support/workContext';
import { openRuntime, temporaryFolder } from '../../support/fixtures';

/**
 * Two frozen networks A and B; trained is how they are mixed: a matrix P for the first weight, W1 = A1 + P (B1 - A1), and one coefficient s for the second,
 * W2 = s A2 + (1 - s) B2. The trainer knows neither the networks nor the mixing.
 */
const [inputs, hidden, classes, samples] = [6, 5, 3, 8];
const [first, second, bias] = ['fc1.weight', 'fc2.weight', 'fc1.bias'] as const;

const random = new SeededRandom(21);
const normals = (count: number, scale = 1): Float32Array => Float32Array.from({ length: count }, () => scale * random.nextNormal());
/** Held as [in, out]. */
const network = (): Readonly<Record<string, Float32Array>> => ({
  [first]: normals(inputs * hidden, 0.5),
  [second]: normals(hidden * classes, 0.5),
  [bias]: normals(hidden, 0.5),
});
const [a, b] = [network(), network()];
const start = { mix: normals(inputs * inputs, 0.2), share: Float32Array.of(0.4) };
const batchOf = (step: number): { readonly x: Float32Array; readonly label: BigInt64Array } => {
  const own = new SeededRandom(100 + step);
  return {
    x: Float32Array.from({ length: samples * inputs }, () => own.nextNormal()),
    label: BigInt64Array.from({ length: samples }, () => BigInt(own.nextBelow(classes))),
  };
};

const runtime = await openRuntime();
const folder = temporaryFolder();
let model: OpenTrainable;
beforeAll(async () => {
  const build = new GraphBuilder(operators, 'net', 17);
  const zeros = (name: string, shape: readonly number[]): Value =>
    build.constant(
      { kind: 'inline', dtype: 'float32', shape, bytes: new Uint8Array(4 * shape.reduce((product, length) => product * length, 1)) },
      name,
    );
  const x = build.input('x', { dtype: 'float32', shape: ['batch', inputs] });
  const layer = build.op('Tanh', [build.op('Gemm', [x, zeros(first, [hidden, inputs]), zeros(bias, [hidden])], { transB: int(1) })]);
  build.output(build.op('Gemm', [layer, zeros(second, [classes, hidden])], { transB: int(1) }), 'y');
  writeFileSync(join(folder, 'net.onnx'), encodeModel(build.finish()));
  model = await openTrainable(join(folder, 'net.onnx'));
});
afterAll(async () => {
  await model.close();
});

interface Mixing {
  readonly mix: Float32Array;
  readonly share: Float32Array;
}

function objective(): Objective<Mixing> {
  const shapes: Readonly<Record<string, readonly number[]>> = { [first]: [inputs, hidden], [second]: [hidden, classes], [bias]: [hidden] };
  const frozen = (network: string, values: Readonly<Record<string, Float32Array>>) =>
    Object.entries(values).map(([name, data]) => ({
      name: `${network}/${name}`,
      shape: shapes[name] as readonly number[],
      values: async () => data,
    }));
  return {
    variables: [
      { name: 'mix', shape: [inputs, inputs], group: 'mixing', initial: async () => start.mix },
      { name: 'share', shape: [], group: 'shares', initial: async () => start.share },
    ],
    // B's bias is not used: a frozen tensor need not be.
    frozen: [...frozen('a', a), ...frozen('b', b)],
    addLoss: (step) => {
      const { build } = step;
      const from = (network: string, name: string): Value => step.value(`${network}/${name}`);
      const mixed = build.op('MatMul', [step.value('mix'), build.op('Sub', [from('b', first), from('a', first)])]);
      const share = step.value('share');
      const rest = build.op('Sub', [build.float32(1), share]);
      const weights: Readonly<Record<string, Value>> = {
        [first]: build.op('Add', [from('a', first), mixed]),
        [second]: build.op('Add', [build.op('Mul', [share, from('a', second)]), build.op('Mul', [rest, from('b', second)])]),
        [bias]: from('a', bias),
      };
      const forward = model.forward(build, step.batch, (name) => weights[name] as Value, true);
      const loss = addLoss('cross-entropy', build, forward, step.batch['label'] as Value);
      step.custom(loss.region);
      return { target: loss.value, metrics: { share: build.op('Identity', [share]) } };
    },
    evaluate: async (values, step) => {
      const loss = lossOf(Float64Array.from(values('mix')), values('share')[0] as number, batchOf(9999));
      return { evaluation: { step, loss, value: loss, metric: 'loss' }, rank: [loss] };
    },
    result: (values) => ({ mix: values('mix').slice(), share: values('share').slice() }),
  };
}

/** The same loss in float64, with loops. */
function lossOf(mix: Float64Array, share: number, { x, label }: ReturnType<typeof batchOf>): number {
  const at = (values: Readonly<Record<string, Float32Array>>, name: string, index: number): number => values[name]?.[index] as number;
  const firstWeight = (row: number, column: number): number => {
    let sum = at(a, first, row * hidden + column);
    for (let inner = 0; inner < inputs; inner += 1) {
      const place = inner * hidden + column;
      sum += (mix[row * inputs + inner] as number) * (at(b, first, place) - at(a, first, place));
    }
    return sum;
  };
  let total = 0;
  for (let sample = 0; sample < samples; sample += 1) {
    const layer = Array.from({ length: hidden }, (_, column) => {
      let sum = at(a, bias, column);
      for (let row = 0; row < inputs; row += 1) sum += (x[sample * inputs + row] as number) * firstWeight(row, column);
      return Math.tanh(sum);
    });
    const logits = Array.from({ length: classes }, (_, column) =>
      layer.reduce((sum, value, row) => {
        const place = row * classes + column;
        return sum + value * (share * at(a, second, place) + (1 - share) * at(b, second, place));
      }, 0),
    );
    const normalizer = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
    total += normalizer - (logits[Number(label[sample])] as number);
  }
  return total / samples;
}

function request(changes: Partial<TrainRequest<Mixing>> = {}): TrainRequest<Mixing> {
  const sgd = { optimizer: 'sgd', schedule: 'constant' } as const;
  return {
    spec: { steps: 30, batch: samples, evaluateEvery: 10 },
    objective: objective(),
    groups: { mixing: { ...sgd, rate: 0.2, momentum: 0.9 }, shares: { optimizer: 'adam', rate: 0.05, schedule: 'cosine' } },
    data: {
      description: 'random classes',
      samples: 1000,
      batch: (step): Readonly<Record<string, RuntimeTensor>> => {
        const { x, label } = batchOf(step);
        return { x: { dtype: 'float32', shape: [samples, inputs], data: x }, label: { dtype: 'int64', shape: [samples], data: label } };
      },
    },
    context: workContext(runtime, { seed: 4 }),
    ...changes,
  };
}

describe('variables from which weights are computed', () => {
  test('one step moves them by the gradient of the loss, checked by central differences in float64', async () => {
    const one = { optimizer: 'sgd', rate: 1, schedule: 'constant' } as const;
    const { result, curve } = await train(request({ spec: { steps: 1, batch: samples }, groups: { mixing: one, shares: one } }));
    const batch = batchOf(0);
    const mix = Float64Array.from(start.mix);
    const share = start.share[0] as number;
    expect(curve[0]?.loss).toBeCloseTo(lossOf(mix, share, batch), 6);
    const step = 1e-5;
    const moved = (index: number, by: number): Float64Array => mix.map((value, at) => (at === index ? value + by : value));
    const expected = Array.from(
      mix,
      (_, index) => (lossOf(moved(index, step), share, batch) - lossOf(moved(index, -step), share, batch)) / (2 * step),
    );
    const found = Array.from(start.mix, (value, index) => value - (result.mix[index] as number));
    const largest = Math.max(...expected.map(Math.abs));
    expect(largest).toBeGreaterThan(0.01);
    found.forEach((value, index) => expect(Math.abs(value - (expected[index] as number)) / largest, `P[${index}]`).toBeLessThan(1e-5));
    const slope = (lossOf(mix, share + step, batch) - lossOf(mix, share - step, batch)) / (2 * step);
    expect(Math.abs(slope)).toBeGreaterThan(1e-3);
    expect(Math.abs(share - (result.share[0] as number) - slope) / Math.abs(slope)).toBeLessThan(1e-5);
  });

  test('training lowers the loss and changes no frozen tensor; the objective converts the best state to the result', async () => {
    const before = JSON.stringify([a, b]);
    const { result, curve, evaluations, bestStep } = await train(request({ spec: { steps: 60, batch: samples, evaluateEvery: 10 } }));
    expect(JSON.stringify([a, b])).toBe(before);
    expect(curve.at(-1)?.metrics).toHaveProperty('share');
    expect(evaluations).toHaveLength(6);
    const best = evaluations.find(({ step }) => step === bestStep);
    expect(best?.loss).toBe(Math.min(...evaluations.map(({ loss }) => loss)));
    expect(best?.loss).toBe(lossOf(Float64Array.from(result.mix), result.share[0] as number, batchOf(9999)));
  });

  test('the length of a run, the mode and interruptions do not change a single bit', async () => {
    const whole = await train(request({ stepsPerRun: 1 }));
    for (const changes of [{ stepsPerRun: 7 }, {}, { mode: 'steps' as const }]) {
      const { result, curve, evaluations } = await train(request(changes));
      expect({ result, curve, evaluations }).toEqual({ result: whole.result, curve: whole.curve, evaluations: whole.evaluations });
    }
    const checkpoint = { folder: join(folder, 'interrupted'), settings: { mixing: 1 } };
    const abort = new AbortController();
    const context = workContext(runtime, { seed: 4, signal: abort.signal, progress: ({ done }) => done === 17 && abort.abort() });
    await expect(train(request({ context, checkpoint, stepsPerRun: 1 }))).rejects.toMatchObject({ code: 'cancelled' });
    const spec = { steps: 30, batch: samples, evaluateEvery: 10, resume: true };
    await expect(train(request({ spec, checkpoint: { ...checkpoint, settings: { mixing: 2 } } }))).rejects.toThrow(/mixing was 1 and is 2/);
    const resumed = await train(request({ spec, checkpoint }));
    expect(resumed.resumedFrom).toBe(17);
    expect(resumed.result).toEqual(whole.result);
    expect(resumed.evaluations).toEqual(whole.evaluations);
  });
});

describe('frozen tensors', () => {
  test('are captured by the loop: no loop input, no output, no slot', () => {
    const made = objective();
    const groups = optimizerGroups(request().groups, 30);
    const state = layOutState(made.variables, groups);
    expect(state.map(({ key }) => key)).toEqual(['mix', 'share', 'momentum/mix', 'moment1/share', 'moment2/share']);
    const { data } = request();
    const description = {
      objective: made,
      state,
      groups,
      updates: wholeTensorUpdates,
      data: Object.entries(data.batch(0, samples)).map(([name, { dtype, shape }]) => ({ name, dtype: dtype as 'float32', shape })),
      longestDraw,
    };
    const { graph } = buildStepGraph(description, 'loop');
    const loop = graph.nodes.find(({ op }) => op === 'Loop') as Node;
    expect(loop.inputs.map((value) => value?.name)).toEqual(['trips', undefined, ...state.map(({ key }) => `state/${key}`)]);
    const body = loop.attributes['body'];
    if (body?.kind !== 'graph') throw new Error('The loop has no body.');
    expect(body.value.inputs).toHaveLength(2 + state.length);
    expect(body.value.outputs).toHaveLength(1 + state.length + 2);
    expect(graph.outputs.map(({ name }) => name).filter((name) => /a\/|b\//.test(name))).toEqual([]);
    const captured = new Set(body.value.nodes.flatMap((node) => node.inputs.map((value) => value?.name)));
    for (const name of ['a/fc1.weight', 'b/fc1.weight', 'a/fc2.weight', 'b/fc2.weight', 'a/fc1.bias'])
      expect(captured, name).toContain(`frozen/${name}`);
  });

  test('are not in checkpoints, and a checkpoint with different ones is refused', async () => {
    const checkpoint = { folder: join(folder, 'small'), settings: {} };
    await train(request({ checkpoint }));
    const files = readdirSync(checkpoint.folder).filter((name) => name.endsWith('.safetensors'));
    expect(files).toHaveLength(2);
    for (const file of files) {
      const container = await openSafetensors(join(checkpoint.folder, file));
      expect([...container.tensors.keys()].filter((name) => /a\/|b\//.test(name))).toEqual([]);
      await container.close();
    }
    const other = objective();
    const frozen = other.frozen.map((tensor, index) =>
      index === 0 ? { ...tensor, values: async () => normals(inputs * hidden) } : tensor,
    );
    const resume = { spec: { steps: 30, batch: samples, evaluateEvery: 10, resume: true }, checkpoint };
    await expect(train(request({ ...resume, objective: { ...other, frozen } }))).rejects.toThrow(/startWeights was/);
  });
});

describe('contradictory requests', () => {
  test('a group without settings, a duplicate name, a value of the wrong size, a new value of an optimised variable', async () => {
    const { mixing, shares } = request().groups;
    await expect(train(request({ groups: { mixing: mixing! } }))).rejects.toThrow(/Unknown group 'shares'.*Groups: mixing/);
    const made = objective();
    const [mix, share] = made.variables;
    await expect(train(request({ objective: { ...made, variables: [mix!, mix!, share!] } }))).rejects.toThrow(
      /Two tensors of the training are named 'mix'/,
    );
    const short = { ...mix!, initial: async () => new Float32Array(3) };
    await expect(train(request({ objective: { ...made, variables: [short, share!] } }))).rejects.toThrow(
      /'mix' of shape \[6, 6\] cannot have 3/,
    );
    const addLoss: typeof made.addLoss = (step) => ({ ...made.addLoss(step), next: { share: step.value('share') } });
    await expect(train(request({ objective: { ...made, addLoss }, groups: { mixing: mixing!, shares: shares! } }))).rejects.toThrow(
      /new value of 'share', but it is trained by the group 'shares'/,
    );
  });

  test('a checkpoint of another version is refused with what to do', async () => {
    const checkpoint = { folder: join(folder, 'older'), settings: {} };
    await train(request({ checkpoint }));
    const manifest = join(checkpoint.folder, 'checkpoint.json');
    writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('"version": 2', '"version": 1'));
    const spec = { steps: 30, batch: samples, resume: true };
    const resumed = train(request({ spec, checkpoint }));
    await expect(resumed).rejects.toMatchObject({ code: 'unsupported' });
    await expect(resumed).rejects.toThrow(/another version of Loomweight.*delete the folder to start over/);
  });
});
