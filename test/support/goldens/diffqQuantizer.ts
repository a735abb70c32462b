import { dequantizeLearned } from '../../../src/engine/formats/archive/dequantizeLearned';
import type { LearnedTensor } from '../../../src/engine/formats/archive/learnedTensor';
import { bitsOfLogits } from '../../../src/engine/kernels/bitWidths';
import { weightGroups } from '../../../src/engine/kernels/weightGroups';
import { planFor, runMethod, stateOf, trainable, type SmallWeight } from '../methodStep';
import { float32Of, inputTensor, numberParam, type Golden, type GoldenCheck, type GoldenRunner } from './golden';

/** Widths, sizes, gradients of the size and rounded weights of a small model. */
export const diffqQuantizer: GoldenRunner = (golden, check) =>
  golden.inputs['shapes'] === undefined ? learnedWidths(golden, check) : sizesOfShapes(golden, check);

const settingsOf = ({ params }: Golden): Readonly<Record<string, unknown>> => ({
  groupSize: params['group_size'],
  minBits: params['min_bits'],
  maxBits: params['max_bits'],
  initBits: params['init_bits'],
  extraBits: params['extra_bits'] ?? 0,
  parametrisation: params['param'],
  settle: 0,
  clipRange: 0,
});

async function learnedWidths(golden: Golden, check: GoldenCheck): Promise<void> {
  const indices = [0, 1];
  const weights = indices.map((index): SmallWeight => ({
    name: `w${index}`,
    shape: inputTensor(golden, `w${index}`).shape,
    weights: float32Of(inputTensor(golden, `w${index}`)),
  }));
  const rest: SmallWeight = {
    name: 'rest',
    shape: [numberParam(golden, 'unquantized_float32')],
    weights: new Float32Array(numberParam(golden, 'unquantized_float32')),
  };
  const all = [...weights, rest];
  const plan = planFor('diffq', all, settingsOf(golden), { penalty: 1, exclude: ['rest'] });
  const size = numberParam(golden, 'group_size');
  // Groups run over the flat matrix and may end inside a row; how a graph orders numbers per group is the product's own choice.
  const groups = weights.map((weight) => weightGroups(trainable(weight), size));
  const variables = Object.fromEntries(
    indices.map((index) => [
      `logits/w${index}`,
      (groups[index] as (typeof groups)[number]).fromCanonical(float32Of(inputTensor(golden, `logit${index}`))),
    ]),
  );
  const results = await runMethod({
    plan,
    weights: all,
    variables,
    task: (build, forward) => ({ target: forward.size ?? build.float32(NaN) }),
  });
  check.compare('initial_logit', plan.variables[0]?.initial[0] ?? NaN);
  const state = stateOf(plan, all, variables);
  const realized = plan.realize(state);
  const range = {
    parametrisation: golden.params['param'] as 'bits' | 'noise',
    minimum: numberParam(golden, 'min_bits'),
    maximum: numberParam(golden, 'max_bits'),
  };
  for (const index of indices) {
    const tensor = realized.find(({ name }) => name === `w${index}`) as LearnedTensor;
    const perGroup = groups[index] as (typeof groups)[number];
    check.compare(`bits${index}`, bitsOfLogits(float32Of(inputTensor(golden, `logit${index}`)), range));
    check.compare(`penalty_grad${index}`, perGroup.toCanonical(results[`gradient/logits/w${index}`] ?? new Float32Array()), {
      abs: 1e-12,
      rel: golden.tolerance.rel,
    });
    check.compare(`rounded_bits${index}`, tensor.bits);
    check.compare(`levels${index}`, tensor.levels);
    check.compare(`range${index}`, [tensor.minimum, tensor.maximum]);
    check.compare(`quantized${index}`, dequantizeLearned(tensor));
  }
  const { estimatedBits, trueBits } = plan.sizes(state);
  check.compare('estimated_size_mib', estimatedBits / 2 ** 23);
  check.compare('estimated_size_mib', results['target'] ?? []);
  check.compare('true_size_mib', trueBits / 2 ** 23);
  // The length of a Python pickle.
  check.leaveOut('packed_size_mib');
  check.leaveOut('packed_size_error');
}

function sizesOfShapes(golden: Golden, check: GoldenCheck): void {
  const shapes = golden.inputs['shapes'] as Readonly<Record<string, readonly number[]>>;
  const [first = '', ...tied] = golden.params['tied'] as readonly string[];
  const weights = Object.entries(shapes).map(([name, shape]): SmallWeight => {
    const count = shape.reduce((product, length) => product * length, 1);
    return { name, shape, weights: Float32Array.from({ length: count }, (_, at) => Math.sin(at)), tiedTo: name === first ? tied : [] };
  });
  const plan = planFor('diffq', weights, settingsOf(golden), {
    penalty: 1,
    exclude: golden.params['exclude'] as readonly string[],
    minimumSize: numberParam(golden, 'min_size_mib'),
    halfRest: golden.params['float16'] === true,
  });
  const { estimatedBits, trueBits } = plan.sizes(stateOf(plan, weights));
  check.compare('estimated_size_mib', estimatedBits / 2 ** 23);
  check.compare('true_size_mib', trueBits / 2 ** 23);
  check.compare('quantized_tensors', plan.quantized.length);
  check.compare('tied_tensors', tied.length);
  const rest = weights.filter(({ name }) => !plan.quantized.includes(name));
  check.compare(
    'float16_entries',
    rest.reduce((sum, each) => sum + each.weights.length, 0),
  );
}
