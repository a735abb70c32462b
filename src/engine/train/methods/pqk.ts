import { LoomweightError } from '../../../protocol/errors';
import { divergence } from '../../kernels/losses';
import { signedLevels } from '../../kernels/learnedStepSize';
import { straightThrough } from '../../kernels/straightThrough';
import type { Value } from '../../graph/graph';
import { formula } from '../../ops/formula';
import type { ForwardPass, HostState, MethodPlan, MethodStep, WeightMethod } from '../contract';
import { fixedWidthSizes } from './shared/fixedWidth';
import { canonicalWeights, realizeSigned } from './shared/realizeTensor';
import { selectTensors } from './shared/selectTensors';
import { keptThreshold, largestMagnitude, prunedWeights } from './shared/magnitudes';

const thresholdName = (tensor: string): string => `threshold/${tensor}`;

/** Most steps between two looks at which weights are small; short trainings look twenty times while they prune. */
const longestPause = 50;

/**
 * PQK: prune, quantise, and let the network teach its own pruned part.
 *
 * Phase 1, T steps: the smallest weights are set to 0, a share s(t) = sparsity (1 - (1 - t / T)^3) of each tensor, the others are rounded to a signed grid.
 * Gradients pass straight through both, so pruned weights continue to learn and may return.
 * Phase 2: the thresholds are frozen. The teacher is the student's weights with the pruned ones added back. Both learn the task, and each the other's softened outputs;
 * the student's gradient reaches kept weights only, the teacher's all of them.
 *
 * The paper's text gives the phases, not the formulas: grid, thresholds and weights of the losses are choices made here.
 */
export const pqk: WeightMethod = {
  id: 'pqk',
  label: 'PQK',
  summary: 'Prunes and quantises weights gradually, then distils the full network into its pruned part.',
  source: {
    title: 'PQK: Model Compression via Pruning, Quantization, and Knowledge Distillation',
    authors: 'Kim, Chang, Kwak',
    year: 2021,
    url: 'https://arxiv.org/abs/2106.14681',
  },
  parameters: [
    { key: 'bits', kind: 'integer', label: 'Width', doc: 'Bits per weight.', default: 4, min: 2, max: 15, unit: 'bits' },
    { key: 'sparsity', kind: 'number', label: 'Sparsity', doc: 'Final share of zero weights.', default: 0.5, min: 0, max: 0.99 },
    {
      key: 'teaching',
      kind: 'number',
      label: 'Distillation share',
      doc: 'Share of the steps, at the end, in which the full network is distilled into the pruned one.',
      default: 0.5,
      min: 0,
      max: 0.95,
    },
    {
      key: 'temperature',
      kind: 'number',
      label: 'Temperature',
      doc: 'Softmax temperature of the distillation loss.',
      default: 2,
      min: 0.1,
      max: 100,
    },
  ],
  learnsWidths: false,
  workingCopies: 8,
  plan: (context, parameters): MethodPlan => {
    const selected = selectTensors(context);
    const { quantized } = selected;
    const bits = Number(parameters['bits']);
    const temperature = Number(parameters['temperature']);
    const sparsity = Number(parameters['sparsity']);
    const teachingFrom = Math.max(1, Math.round(context.steps * (1 - Number(parameters['teaching']))));
    const pruneEvery = Math.max(1, Math.min(longestPause, Math.floor(teachingFrom / 20)));
    const { low, high } = signedLevels(bits);
    const teaching = (step: MethodStep): Value => formula(step.build, 'float32').greater(step.step, teachingFrom - 0.5);
    const shareAt = (step: number): number => sparsity * (1 - (1 - Math.min(1, step / teachingFrom)) ** 3);
    const gridStep = (weights: Float32Array): number => Math.fround(largestMagnitude(weights) / high) || 1;

    const studentWeights = (step: MethodStep, held: Value, tensor: string): { readonly student: Value; readonly mask: Value } => {
      const { build } = step;
      const { mul, div, op, where, greater, cast } = formula(build, 'float32');
      const magnitudes = op('Abs', held);
      const mask = cast(build.op('Not', [formula(build, 'float32').less(magnitudes, step.variable(thresholdName(tensor)))]));
      const largest = build.op('ReduceMax', [magnitudes], { keepdims: { kind: 'int', value: 0 } });
      const grid = where(greater(largest, 0), div(largest, high), 1);
      const index = build.op('Clip', [op('Round', div(held, grid)), build.float32(low), build.float32(high)]);
      return { student: mul(mul(index, grid), mask), mask };
    };

    return {
      quantized: quantized.map(({ name }) => name),
      variables: quantized.map(({ name }) => ({
        name: thresholdName(name),
        shape: [1],
        initial: new Float32Array(1),
        group: undefined,
      })),
      passes: ['student', 'teacher'],
      forward: (step, weights, pass) => {
        const { build } = step;
        const { mul, add, sub, where } = formula(build, 'float32');
        const made: Record<string, Value> = {};
        for (const { name, used } of quantized) {
          if (!used) continue;
          const held = weights(name);
          const { student, mask } = studentWeights(step, held, name);
          if (pass === 'teacher') {
            const teacher = add(student, mul(held, sub(1, mask)));
            step.custom(straightThrough(teacher, held));
            made[name] = teacher;
            continue;
          }
          const passing = where(teaching(step), mask, 1);
          const output = build.op('Identity', [student]);
          step.custom({ output, inputs: [held], gradient: (backward, given) => [backward.op('Mul', [given, passing])] });
          made[name] = output;
        }
        return { weights: made };
      },
      combine: (step, outputs, task) => {
        const { student, teacher } = outputs as { readonly student: ForwardPass; readonly teacher: ForwardPass };
        const { add, mul, where } = formula(step.build, 'float32');
        const active = where(teaching(step), 1, 0);
        const [taught, teaches] = [logitsOf(student), logitsOf(teacher)];
        const shape = taught.type.shape ?? [];
        if (shape.length < 2 || shape.at(-1) === 1)
          throw new LoomweightError(
            'unsupported',
            'PQK distils class probabilities and requires outputs for at least 2 classes, but the model has a single output. Use qat, lsq or diffq.',
          );
        const both = [divergence(step.build, taught, teaches, temperature), divergence(step.build, teaches, taught, temperature)];
        for (const { region } of both) step.custom(region);
        const mutual = both.reduce((sum: Value | undefined, { value }) => (sum ? add(sum, value) : value), undefined) as Value;
        return add(task(student), mul(add(task(teacher), mutual), active));
      },
      // Earlier states have not been pruned to the whole share yet.
      settledFrom: Math.min(context.steps, Math.ceil(teachingFrom / pruneEvery) * pruneEvery),
      refresh: {
        every: pruneEvery,
        apply: (state, at) =>
          // One last update when teaching begins; from then on the thresholds are frozen.
          at >= teachingFrom + pruneEvery
            ? {}
            : Object.fromEntries(
                quantized.map(({ name }) => [thresholdName(name), Float32Array.of(keptThreshold(state.parameter(name), shareAt(at)))]),
              ),
      },
      realize: (state: HostState) =>
        quantized.map((parameter) => {
          const held = state.parameter(parameter.name);
          const pruned = prunedWeights(canonicalWeights(parameter, held), state.variable(thresholdName(parameter.name))[0] as number);
          return realizeSigned(parameter, pruned, bits, gridStep(held), { low, high });
        }),
      sizes: () => fixedWidthSizes(selected, bits, 32),
    };
  },
};

/** What teacher and student compare: the class scores of the only output, or the output `logits` of several. Errors: `unsupported` where there are several others. */
function logitsOf({ outputs, scores }: ForwardPass): Value {
  const all = Object.values(outputs);
  const found = all.length === 1 ? scores : outputs['logits'];
  if (found) return found;
  throw new LoomweightError(
    'unsupported',
    `PQK compares the class scores of teacher and student and needs an output 'logits' or a single output, got ${Object.keys(outputs).join(', ')}.`,
    { outputs: Object.keys(outputs) },
  );
}
