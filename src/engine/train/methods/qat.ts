import type { Value } from '../../graph/graph';
import { extremes } from '../../kernels/host/uniformQuantize';
import { straightThrough } from '../../kernels/straightThrough';
import { uniformQuantize } from '../../kernels/uniformQuantize';
import { weightGroups } from '../../kernels/weightGroups';
import { extremesOf } from '../../kernels/weightRange';
import type { WeightMethod } from '../contract';
import { fixedWidthSizes } from './shared/fixedWidth';
import { canonicalWeights, realizeOneWidth } from './shared/realizeTensor';
import { selectTensors } from './shared/selectTensors';

/** Quantisation-aware training: every weight is rounded to a min-max grid in the forward pass, and the gradient passes as if it had not been. */
export const qat: WeightMethod = {
  id: 'qat',
  label: 'QAT',
  summary: 'Trains with weights rounded to one fixed width, using straight-through gradients.',
  source: {
    title: 'Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference',
    authors: 'Jacob et al.',
    year: 2018,
    url: 'https://arxiv.org/abs/1712.05877',
  },
  parameters: [
    {
      key: 'bits',
      kind: 'number',
      label: 'Width',
      doc: 'Bits per weight; may be fractional: 5.5 bits give 45 levels.',
      default: 4,
      min: 1,
      max: 15,
      unit: 'bits',
    },
  ],
  learnsWidths: false,
  workingCopies: 1,
  plan: (context, parameters) => {
    const selected = selectTensors(context);
    const bits = Number(parameters['bits']);
    return {
      quantized: selected.quantized.map(({ name }) => name),
      variables: [],
      forward: (step, weights) => {
        const rounded: Record<string, Value> = {};
        for (const parameter of selected.quantized) {
          if (!parameter.used) continue;
          const held = weights(parameter.name);
          const width = step.build.float32([bits]);
          const output = uniformQuantize(step.build, held, width, extremesOf(step.build, held), weightGroups(parameter, 0));
          step.custom(straightThrough(output, held));
          rounded[parameter.name] = output;
        }
        return { weights: rounded };
      },
      realize: (state) =>
        selected.quantized.map((parameter) => {
          const held = state.parameter(parameter.name);
          return realizeOneWidth(parameter, canonicalWeights(parameter, held), bits, extremes(held, parameter.name));
        }),
      sizes: () => fixedWidthSizes(selected, bits, 64),
    };
  },
};
