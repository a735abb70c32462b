import { float, int } from '../../../src/engine/graph/builder';
import { between, drawn, type GradientCase } from './gradientCase';

/** Normalisations. */
export const normalizationCases: readonly GradientCase[] = [
  { op: 'LayerNormalization', inputs: [drawn(2, 3, 6), drawn(6), drawn(6)] },
  { op: 'LayerNormalization', inputs: [drawn(2, 3, 4), drawn(3, 4)], attributes: { axis: int(1), epsilon: float(0.01) } },
  { op: 'RMSNormalization', opset: 23, inputs: [drawn(2, 3, 6), drawn(6)] },
  { op: 'SimplifiedLayerNormalization', inputs: [drawn(2, 3, 6), drawn(6)], attributes: { epsilon: float(0.01) } },
  {
    op: 'BatchNormalization',
    inputs: [drawn(2, 3, 4), drawn(3), drawn(3), drawn(3), between(0.3, 2, 3)],
  },
  {
    op: 'BatchNormalization',
    inputs: [drawn(4, 3), drawn(3), drawn(3), drawn(3), between(0.3, 2, 3)],
    attributes: { epsilon: float(0.01) },
  },
];
