import type { GraphBuilder } from '../../graph/builder';
import type { Value } from '../../graph/graph';
import { extremes } from '../../kernels/host/uniformQuantize';
import { straightThrough } from '../../kernels/straightThrough';
import { uniformQuantize } from '../../kernels/uniformQuantize';
import { weightGroups } from '../../kernels/weightGroups';
import { formula } from '../../ops/formula';
import type { HostState, MethodStep, TrainableParameter, WeightMethod } from '../contract';
import { fixedWidthSizes } from './shared/fixedWidth';
import { canonicalWeights, realizeOneWidth } from './shared/realizeTensor';
import { selectTensors } from './shared/selectTensors';

/** Steps between two looks at the range of the weights. */
const observerSteps = 1000;

const rangeName = (tensor: string): string => `range/${tensor}`;

/**
 * Quant-Noise: at each step a random part of the weights is disturbed, the rest stays exact, so that most gradients are unbiased.
 *
 *   scalar: a share `rate` of the weights is rounded (straight-through), to a range that is looked up every 1000 steps
 *   blocks: a share `rate` of runs of `blockSize` weights is set to 0 and the rest multiplied by 1 / (1 - rate), the authors' stand-in for product quantisation
 *
 * What is stored is the same for both: all weights rounded to `bits` on a min-max grid. Codebooks of product quantisation are not made.
 */
export const quantNoise: WeightMethod = {
  id: 'quant-noise',
  label: 'Quant-Noise',
  summary: 'Quantises a random subset of the weights at each step, so that the model tolerates rounding all of them.',
  source: {
    title: 'Training with Quantization Noise for Extreme Model Compression',
    authors: 'Fan et al.',
    year: 2021,
    url: 'https://arxiv.org/abs/2004.07320',
  },
  parameters: [
    {
      key: 'noise',
      kind: 'choice',
      label: 'Noise',
      doc: 'scalar rounds individual weights; blocks zeroes runs of consecutive weights, as a proxy for product quantisation. Both store weights rounded to the width.',
      default: 'scalar',
      choices: ['scalar', 'blocks'],
    },
    { key: 'bits', kind: 'number', label: 'Width', doc: 'Bits per stored weight.', default: 4, min: 1, max: 15, unit: 'bits' },
    {
      key: 'share',
      kind: 'number',
      label: 'Rate',
      doc: 'Share of the weights that get noise in each step: 0.5 for scalar, 0.05 to 0.2 for blocks.',
      default: 0.5,
      min: 0,
      max: 0.95,
    },
    {
      key: 'blockSize',
      kind: 'integer',
      label: 'Block size',
      doc: 'Weights per block. Used by blocks only.',
      default: 8,
      min: 1,
      max: 4096,
    },
  ],
  learnsWidths: false,
  workingCopies: 3,
  plan: (context, parameters) => {
    const selected = selectTensors(context);
    const bits = Number(parameters['bits']);
    const rate = Number(parameters['share']);
    const blocks = parameters['noise'] === 'blocks';
    const blockSize = Number(parameters['blockSize']);
    const { quantized } = selected;
    const observe = (weights: Float32Array, name: string): Float32Array => {
      const { minimum, maximum } = extremes(weights, name);
      return Float32Array.of(minimum, maximum);
    };
    return {
      quantized: quantized.map(({ name }) => name),
      variables: blocks
        ? []
        : quantized.map(({ name }) => ({
            name: rangeName(name),
            shape: [2],
            initial: observe(context.initial(name), name),
            group: undefined,
          })),
      forward: (step, weights) => {
        const disturbed: Record<string, Value> = {};
        for (const parameter of quantized)
          if (parameter.used)
            disturbed[parameter.name] = blocks
              ? zeroedBlocks(step, parameter, weights(parameter.name), rate, blockSize)
              : partlyRounded(step, parameter, weights(parameter.name), rate, bits);
        return { weights: disturbed };
      },
      ...(blocks
        ? {}
        : {
            refresh: {
              every: observerSteps,
              apply: (state: HostState) =>
                Object.fromEntries(quantized.map(({ name }) => [rangeName(name), observe(state.parameter(name), name)])),
            },
          }),
      realize: (state) =>
        quantized.map((parameter) => {
          const held = state.parameter(parameter.name);
          return realizeOneWidth(parameter, canonicalWeights(parameter, held), bits, extremes(held, parameter.name));
        }),
      sizes: () => fixedWidthSizes(selected, bits, 64),
    };
  },
};

/** 1 with probability `rate`, else 0. */
function drawn(step: MethodStep, parameter: TrainableParameter, shape: readonly number[], rate: number): Value {
  const { less } = formula(step.build, 'float32');
  return less(step.noise(`quant-noise/${parameter.name}`, shape, 'uniform'), rate - 0.5);
}

function partlyRounded(step: MethodStep, parameter: TrainableParameter, held: Value, rate: number, bits: number): Value {
  const { build } = step;
  const ends = step.variable(rangeName(parameter.name));
  const end = (index: number): Value => build.op('Gather', [ends, build.int64(index, [])]);
  const range = { minimum: end(0), maximum: end(1) };
  const rounded = uniformQuantize(build, held, build.float32([bits]), range, weightGroups(parameter, 0));
  const output = build.op('Where', [drawn(step, parameter, parameter.heldShape, rate), rounded, held]);
  step.custom(straightThrough(output, held));
  return output;
}

function zeroedBlocks(step: MethodStep, parameter: TrainableParameter, held: Value, rate: number, blockSize: number): Value {
  const { build } = step;
  const groups = weightGroups(parameter, blockSize);
  const kept = formula(build, 'float32').where(drawn(step, parameter, groups.shape, rate), 0, 1 / (1 - rate));
  const scaled = (target: GraphBuilder, value: Value): Value =>
    groups.unview(target, target.op('Mul', [groups.view(target, value), groups.spread(target, kept)]));
  const output = scaled(build, held);
  step.custom({ output, inputs: [held], gradient: (backward, given) => [scaled(backward, given)] });
  return output;
}
