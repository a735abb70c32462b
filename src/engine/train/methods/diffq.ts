import { LoomweightError } from '../../../protocol/errors';
import type { WeightMethod } from '../contract';
import { diffqParameters, diffqSettings } from './diffq/settings';
import { planDiffq } from './diffq/plan';

/**
 * DiffQ: noise of the size of a rounding step in place of rounding, so that weights and widths are trained together, each group of weights with a width of
 * its own. Two things go beyond the published method and can be set to 0: `settle` and `clipRange`.
 */
export const diffq: WeightMethod = {
  id: 'diffq',
  label: 'DiffQ',
  summary: 'Learns a bit-width for every group of weights while it trains them, with noise in place of rounding.',
  source: {
    title: 'Differentiable Model Compression via Pseudo Quantization Noise',
    authors: 'Défossez, Adi, Synnaeve',
    year: 2022,
    url: 'https://arxiv.org/abs/2104.09987',
  },
  parameters: diffqParameters,
  learnsWidths: true,
  plan: (context, values) => {
    if (context.targetBits !== undefined && !(context.targetBits > 0))
      throw new LoomweightError('invalid-argument', `targetBits must be above 0, got ${context.targetBits}.`);
    return planDiffq(context, diffqSettings(values, context));
  },
};
