import { dequantizeLearned } from '../../../src/engine/formats/archive/dequantizeLearned';
import type { LearnedTensor } from '../../../src/engine/formats/archive/learnedTensor';
import type { GraphBuilder } from '../../../src/engine/graph/builder';
import type { Value } from '../../../src/engine/graph/graph';
import { extremes, quantizeRun, valueOfLevel } from '../../../src/engine/kernels/host/uniformQuantize';
import { meanSquaredError } from '../../../src/engine/kernels/losses';
import { canonicalOrder, planFor, runMethod, stateOf, type SmallWeight } from '../methodStep';
import { float32Of, inputTensor, numberParam, type Golden, type GoldenCheck, type GoldenRunner } from './golden';

/** The min-max quantiser on the host, one width or one for each group. */
export const diffqUniform: GoldenRunner = (golden, check) => {
  const weights = float32Of(inputTensor(golden, 'w'));
  const size = golden.inputs['bits'] === undefined ? weights.length : numberParam(golden, 'group_size');
  const widths = golden.inputs['bits'] === undefined ? [numberParam(golden, 'bits')] : inputTensor(golden, 'bits').data;
  const range = extremes(weights, 'w');
  const levels = new Uint16Array(weights.length);
  widths.forEach((bits, group) => quantizeRun(weights, group * size, (group + 1) * size, bits, range, levels));
  check.compare('levels', levels);
  check.compare('min', range.minimum);
  check.compare('max', range.maximum);
  check.compare(
    'dequantized',
    Float32Array.from(levels, (level, index) => valueOfLevel(level, widths[Math.floor(index / size)] as number, range)),
  );
};

/** Forward pass, loss and gradients of one linear layer under a method, with the task mean((x W^T - target)^2). */
export async function trainedLinear(
  golden: Golden,
  run: Omit<Parameters<typeof runMethod>[0], 'task' | 'weights'> & { readonly weight: SmallWeight; readonly penalty?: number },
): Promise<Readonly<Record<string, Float32Array>>> {
  const { weight, penalty = 0, ...rest } = run;
  const constant = (build: GraphBuilder, name: string): Value => {
    const tensor = inputTensor(golden, name);
    return build.float32(tensor.data, tensor.shape);
  };
  return runMethod({
    ...rest,
    weights: [weight],
    task: (build, forward) => {
      const w = forward.weights[weight.name];
      if (!w) throw new Error('The method leaves the weight as it is.');
      const y = build.op('MatMul', [constant(build, 'x'), w]);
      const loss = meanSquaredError(build, y, constant(build, 'target'));
      const target = forward.size ? build.op('Add', [loss.value, build.op('Mul', [forward.size, build.float32(penalty)])]) : loss.value;
      return { target, regions: [loss.region], outputs: { y, w, task: loss.value } };
    },
  });
}

const weightOf = (golden: Golden): SmallWeight => ({
  name: 'w',
  shape: inputTensor(golden, 'w').shape,
  weights: float32Of(inputTensor(golden, 'w')),
});

/** y = x W^T in float64. */
export function product(x: Float32Array, weights: Float32Array, columns: number): Float64Array {
  const rows = weights.length / columns;
  return Float64Array.from({ length: (x.length / columns) * rows }, (_, at) => {
    let sum = 0;
    const [token, row] = [Math.floor(at / rows) * columns, (at % rows) * columns];
    for (let column = 0; column < columns; column += 1) sum += (x[token + column] as number) * (weights[row + column] as number);
    return sum;
  });
}

export const diffqQat: GoldenRunner = async (golden, check) => {
  const weight = weightOf(golden);
  const plan = planFor('qat', [weight], { bits: numberParam(golden, 'bits') });
  const results = await trainedLinear(golden, { plan, weight });
  compareTraining(check, weight, results);
  const state = stateOf(plan, [weight]);
  const [realized] = plan.realize(state) as [LearnedTensor];
  check.compare('quantized_w', dequantizeLearned(realized));
  check.compare('size_mib', plan.sizes(state).trueBits / 2 ** 23);
};

export const diffqLsq: GoldenRunner = async (golden, check) => {
  const weight = weightOf(golden);
  const bits = numberParam(golden, 'bits');
  const plan = planFor('lsq', [weight], { bits });
  check.compare('initial_step', plan.variables[0]?.initial[0] ?? NaN);
  const variables = { 'step/w': float32Of(inputTensor(golden, 'step')) };
  const results = await trainedLinear(golden, { plan, weight, variables });
  compareTraining(check, weight, results);
  check.compare('grad_step', results['gradient/step/w'] ?? []);
  const state = stateOf(plan, [weight], variables);
  const [realized] = plan.realize(state) as [LearnedTensor];
  check.compare(
    'index',
    Int32Array.from(realized.levels, (level) => level - 2 ** (bits - 1)),
  );
  check.compare('quantized_w', dequantizeLearned(realized));
  check.compare('size_mib', plan.sizes(state).trueBits / 2 ** 23);
};

function compareTraining(check: GoldenCheck, weight: SmallWeight, results: Readonly<Record<string, Float32Array>>): void {
  check.compare('quantized_w', canonicalOrder(weight, results['w'] ?? new Float32Array()));
  check.compare('y_train', results['y'] ?? []);
  check.compare('loss', results['target'] ?? []);
  check.compare('grad_w', canonicalOrder(weight, results['gradient/w'] ?? new Float32Array()));
}
