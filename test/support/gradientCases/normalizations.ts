import { float, int, ints } from '../../../src/engine/graph/builder';
import { between, drawn, type GradientCase } from './gradientCase';

/** Normalisations. */
export const normalizationCases: readonly GradientCase[] = [
  { op: 'LayerNormalization', inputs: [drawn(2, 3, 6), drawn(6), drawn(6)] },
  { op: 'LayerNormalization', inputs: [drawn(2, 3, 4), drawn(3, 4)], attributes: { axis: int(1), epsilon: float(0.01) } },
  { op: 'LayerNormalization', inputs: [drawn(2, 6), drawn(6)], outputs: 3, targets: [0], note: 'with its statistics' },
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
  {
    op: 'BatchNormalization',
    inputs: [drawn(4, 3, 5), drawn(3), drawn(3), drawn(3), between(0.3, 2, 3)],
    attributes: { training_mode: int(1) },
    outputs: 3,
    targets: [0],
    note: 'statistics of the batch',
  },
  { op: 'InstanceNormalization', inputs: [drawn(2, 3, 4, 2), drawn(3), drawn(3)] },
  { op: 'GroupNormalization', inputs: [drawn(2, 6, 5), drawn(6), drawn(6)], attributes: { num_groups: int(2) } },
  {
    op: 'GroupNormalization',
    opset: 18,
    inputs: [drawn(2, 6, 5), drawn(2), drawn(2)],
    attributes: { num_groups: int(2) },
    note: 'one scale a group',
  },
  { op: 'LpNormalization', inputs: [drawn(3, 5)] },
  { op: 'LpNormalization', inputs: [drawn(3, 5)], attributes: { p: int(1), axis: int(0) }, kinks: [0] },
  { op: 'MeanVarianceNormalization', inputs: [drawn(2, 3, 4, 2)] },
  { op: 'MeanVarianceNormalization', inputs: [drawn(2, 3, 4)], attributes: { axes: ints([-1]) } },
  { op: 'LRN', inputs: [drawn(2, 5, 3, 2)], attributes: { size: int(3), alpha: float(0.5), beta: float(0.6), bias: float(1.5) } },
  ...[
    { op: 'SkipSimplifiedLayerNormalization', scale: [drawn(6)], bias: drawn(6) },
    { op: 'SkipLayerNormalization', scale: [drawn(6), drawn(6)], bias: drawn(6) },
  ].flatMap(({ op, scale, bias }): readonly GradientCase[] => {
    const domain = 'com.microsoft';
    const attributes = { epsilon: float(1e-5) };
    // The CPU kernel writes the result and the sum only.
    const more = { outputs: 4, unwritten: [1, 2] };
    return [
      { op, domain, inputs: [drawn(2, 3, 6), drawn(2, 3, 6), ...scale], attributes },
      { op, domain, inputs: [drawn(2, 3, 6), drawn(2, 3, 6), ...scale, bias], attributes, note: 'with a bias' },
      { op, domain, inputs: [drawn(2, 3, 6), drawn(1, 3, 6), ...scale], attributes, note: 'skip broadcast' },
      {
        op,
        domain,
        inputs: [drawn(2, 3, 6), drawn(2, 3, 6), ...scale, bias],
        attributes,
        ...more,
        targets: [0, 3],
        note: 'with the sum',
      },
      { op, domain, inputs: [drawn(2, 3, 6), drawn(2, 3, 6), ...scale], attributes, ...more, targets: [3], note: 'the sum alone' },
    ];
  }),
];
