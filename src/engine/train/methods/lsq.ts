import type { Value } from '../../graph/graph';
import { learnedStepSize, signedLevels, smallestStep } from '../../kernels/learnedStepSize';
import type { HostState, WeightMethod } from '../contract';
import { fixedWidthSizes } from './shared/fixedWidth';
import { canonicalWeights, realizeSigned } from './shared/realizeTensor';
import { selectTensors } from './shared/selectTensors';

const stepName = (tensor: string): string => `step/${tensor}`;

/** First step of LSQ: 2 mean |w| / sqrt(2^(bits - 1)), in float32. */
export function firstStep(weights: Float32Array, bits: number): number {
  let sum = 0;
  for (let index = 0; index < weights.length; index += 1) sum += Math.abs(weights[index] as number);
  return Math.fround((2 * sum) / Math.max(1, weights.length) / Math.sqrt(2 ** (bits - 1)));
}

/** LSQ: the distance of neighbouring levels is a weight of its own, one for each tensor. Meant to start from a trained model. */
export const lsq: WeightMethod = {
  id: 'lsq',
  label: 'LSQ',
  summary: 'Trains with weights rounded to one fixed width and learns the step size of each tensor.',
  source: {
    title: 'Learned Step Size Quantization',
    authors: 'Esser et al.',
    year: 2020,
    url: 'https://arxiv.org/abs/1902.08153',
  },
  parameters: [{ key: 'bits', kind: 'integer', label: 'Width', doc: 'Bits per weight.', default: 4, min: 1, max: 15, unit: 'bits' }],
  learnsWidths: false,
  workingCopies: 10,
  plan: (context, parameters) => {
    const selected = selectTensors(context);
    const bits = Number(parameters['bits']);
    const stepOf = (state: HostState, tensor: string): number => Math.max(smallestStep, state.variable(stepName(tensor))[0] as number);
    return {
      quantized: selected.quantized.map(({ name }) => name),
      variables: selected.quantized.map(({ name, used }) => ({
        name: stepName(name),
        shape: [1],
        initial: Float32Array.of(Math.max(smallestStep, firstStep(context.initial(name), bits))),
        group: used ? 'plain' : undefined,
      })),
      forward: (step, weights) => {
        const rounded: Record<string, Value> = {};
        for (const { name, used } of selected.quantized) {
          if (!used) continue;
          const result = learnedStepSize(step.build, weights(name), step.variable(stepName(name)), bits);
          step.custom(result.region);
          rounded[name] = result.weights;
        }
        return { weights: rounded };
      },
      realize: (state) =>
        selected.quantized.map((parameter) =>
          realizeSigned(
            parameter,
            canonicalWeights(parameter, state.parameter(parameter.name)),
            bits,
            stepOf(state, parameter.name),
            signedLevels(bits),
          ),
        ),
      sizes: () => fixedWidthSizes(selected, bits, 32),
    };
  },
};
