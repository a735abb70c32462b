import { attentionCases } from './attention';
import { convolutionCases } from './convolutions';
import { activationCases, elementwiseCases } from './elementwise';
import type { GradientCase } from './gradientCase';
import { indexingCases } from './indexing';
import { lossCases } from './losses';
import { normalizationCases } from './normalizations';
import { poolCases } from './pools';
import { productCases } from './products';
import { quantizationCases } from './quantization';
import { reductionCases } from './reductions';
import { resizeCases } from './resizes';
import { sliceCases } from './slices';

/** Every row of every family. A new family is added here. */
export const gradientCases: readonly GradientCase[] = [
  ...elementwiseCases,
  ...activationCases,
  ...productCases,
  ...reductionCases,
  ...normalizationCases,
  ...lossCases,
  ...quantizationCases,
  ...sliceCases,
  ...indexingCases,
  ...convolutionCases,
  ...poolCases,
  ...attentionCases,
  ...resizeCases,
];
