import { float, int, ints, type AttributeInput } from '../../../src/engine/graph/builder';
import { drawn, integers, type GradientCase, type GradientInput } from './gradientCase';

const scales = (...values: number[]): GradientInput => ({
  kind: 'constant',
  data: { kind: 'inline', dtype: 'float32', shape: [values.length], bytes: new Uint8Array(Float32Array.from(values).buffer) },
});

const by = (factors: readonly number[], attributes: Readonly<Record<string, AttributeInput>>, shape = [1, 2, 4, 5]): GradientCase => ({
  op: 'Resize',
  inputs: [drawn(...shape), undefined, scales(...factors)],
  attributes,
  note: Object.values(attributes)
    .flatMap((each) => (typeof each === 'string' ? [each] : []))
    .join(' '),
});

const to = (sizes: readonly number[], attributes: Readonly<Record<string, AttributeInput>>): GradientCase => ({
  op: 'Resize',
  inputs: [drawn(1, 2, 4, 5), undefined, undefined, integers(sizes)],
  attributes,
  note: Object.values(attributes)
    .flatMap((each) => (typeof each === 'string' ? [each] : []))
    .join(' '),
});

/** Changes of resolution. */
export const resizeCases: readonly GradientCase[] = [
  by([1, 1, 2, 2], { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }),
  by([1, 1, 2, 3], { mode: 'nearest' }),
  by([1, 1, 1.5, 0.6], { mode: 'nearest', nearest_mode: 'round_prefer_ceil' }),
  by([1, 1, 0.5, 2], { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'ceil' }),
  by([1, 1, 2, 2], { mode: 'linear' }),
  by([1, 1, 2, 2], { mode: 'linear', coordinate_transformation_mode: 'align_corners' }),
  by([1, 1, 0.5, 1.7], { mode: 'linear', coordinate_transformation_mode: 'pytorch_half_pixel' }),
  by([1, 1, 2, 1], { mode: 'linear', coordinate_transformation_mode: 'asymmetric' }),
  by([1, 1, 2], { mode: 'linear' }, [2, 3, 4]),
  by([1, 1, 2, 1.5, 2], { mode: 'linear' }, [1, 2, 2, 3, 2]),
  to([1, 2, 7, 8], { mode: 'linear', coordinate_transformation_mode: 'half_pixel' }),
  to([1, 2, 7, 3], { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }),
  to([1, 2, 8, 7], { mode: 'cubic', cubic_coeff_a: float(-0.75) }),
  to([1, 2, 3, 9], { mode: 'cubic', coordinate_transformation_mode: 'align_corners', exclude_outside: int(1) }),
  {
    op: 'Resize',
    inputs: [drawn(1, 2, 4, 5), undefined, scales(2, 3)],
    attributes: { axes: ints([2, 3]), mode: 'linear' },
    note: 'two axes named',
  },
  { op: 'DepthToSpace', inputs: [drawn(1, 8, 2, 3)], attributes: { blocksize: int(2) } },
  { op: 'DepthToSpace', inputs: [drawn(2, 8, 2, 3)], attributes: { blocksize: int(2), mode: 'CRD' } },
  { op: 'SpaceToDepth', inputs: [drawn(2, 3, 4, 6)], attributes: { blocksize: int(2) } },
];
