import type { WeightMethod } from '../contract';

/** Plain training: nothing is quantised. What the other methods are measured against. */
export const floatTraining: WeightMethod = {
  id: 'float',
  label: 'Float',
  summary: 'Trains the weights without quantising them.',
  source: {
    title: 'Learning representations by back-propagating errors',
    authors: 'Rumelhart, Hinton, Williams',
    year: 1986,
    url: 'https://doi.org/10.1038/323533a0',
  },
  parameters: [],
  learnsWidths: false,
  workingCopies: 1,
  plan: ({ parameters, halfRest }) => {
    const weights = parameters.reduce((sum, { shape }) => sum + shape.reduce((product, length) => product * length, 1), 0);
    const bits = weights * (halfRest ? 16 : 32);
    return {
      quantized: [],
      variables: [],
      forward: () => ({ weights: {} }),
      realize: () => [],
      sizes: () => ({ estimatedBits: bits, trueBits: bits }),
    };
  },
};
