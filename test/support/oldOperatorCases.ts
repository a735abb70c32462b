import fc from 'fast-check';
import { float, int, ints } from '../../src/engine/graph/builder';
import type { Attribute } from '../../src/engine/graph/graph';

/** An input of a node. */
export interface CaseInput {
  readonly name: string;
  readonly shape: readonly number[];
  /** Values of a constant; without, the input is fed. */
  readonly values?: readonly number[];
  readonly dtype?: 'float32' | 'int64';
}

/** One node of an old opset with its inputs; the first is fed as 'x'. */
export interface OldOperatorCase {
  readonly op: string;
  readonly opset: number;
  readonly inputs: readonly CaseInput[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly outputs?: number;
  /** True: x reaches the node through another, so that nothing states its rank. */
  readonly hidden?: boolean;
}

const text = (value: string): Attribute => ({ kind: 'string', value });
const floats = (value: readonly number[]): Attribute => ({ kind: 'floats', value: [...value] });

const lengths = (min: number, max: number) => fc.array(fc.integer({ min: 1, max: 4 }), { minLength: min, maxLength: max });
const opsets = (from: number, to: number) => fc.integer({ min: from, max: to });
export const fed = (shape: readonly number[]): CaseInput => ({ name: 'x', shape });
export const constant = (
  name: string,
  values: readonly number[],
  dtype: CaseInput['dtype'] = 'float32',
  shape = [values.length],
): CaseInput => ({
  name,
  shape,
  values,
  dtype: dtype ?? 'float32',
});
/** Fields that every case of an operator shares. */
const common = (from: number, to: number) => fc.record({ opset: opsets(from, to), hidden: fc.boolean() });

/** Random forms of every operator that an upgrade rewrites, as the opsets below it allow them. */
export const oldOperatorCases: Readonly<Record<string, fc.Arbitrary<OldOperatorCase>>> = {
  ...Object.fromEntries(
    ['Softmax', 'LogSoftmax', 'Hardmax'].map((op) => [
      op,
      fc.tuple(common(7, 12), lengths(1, 4), fc.option(fc.nat(3))).map(([base, shape, axis]): OldOperatorCase => {
        const attributes: Record<string, Attribute> = axis === null ? {} : { axis: int(axis % shape.length) };
        return { ...base, op, inputs: [fed(axis === null && shape.length < 2 ? [...shape, 3] : shape)], attributes };
      }),
    ]),
  ),
  ...Object.fromEntries(
    ['Sum', 'Mean', 'Max', 'Min', 'Prod', 'L1', 'L2', 'SumSquare', 'LogSumExp', 'LogSum'].map((name) => [
      `Reduce${name}`,
      fc
        .tuple(common(7, name === 'Sum' ? 12 : 17), lengths(2, 4), fc.option(fc.subarray([0, 1], { minLength: 1 })), fc.nat(1))
        .map(([base, shape, axes, keepdims]): OldOperatorCase => ({
          ...base,
          op: `Reduce${name}`,
          inputs: [fed(shape)],
          attributes: { keepdims: int(keepdims), ...(axes === null ? {} : { axes: ints(axes) }) },
        })),
    ]),
  ),
  Squeeze: fc.tuple(common(7, 12), lengths(1, 3)).map(([base, shape]): OldOperatorCase => {
    return { ...base, op: 'Squeeze', inputs: [fed([1, ...shape, 1])], attributes: { axes: ints([0, shape.length + 1]) } };
  }),
  Unsqueeze: fc.tuple(common(7, 12), lengths(1, 3), fc.nat(1)).map(([base, shape, axis]): OldOperatorCase => {
    return { ...base, op: 'Unsqueeze', inputs: [fed(shape)], attributes: { axes: ints([axis, shape.length + 1]) } };
  }),
  BatchNormalization: fc.tuple(common(7, 13), lengths(2, 4), fc.boolean()).map(([base, shape, spatial]): OldOperatorCase => {
    const channel = (name: string, by: number) =>
      constant(
        name,
        Array.from({ length: shape[1] as number }, (_, i) => by + i / 4),
      );
    const inputs = [fed(shape), channel('scale', 1), channel('bias', -1), channel('mean', 0.2), channel('variance', 0.7)];
    return {
      ...base,
      op: 'BatchNormalization',
      inputs,
      attributes: { ...(spatial && base.opset < 9 ? { spatial: int(1) } : {}), epsilon: float(0.01) },
    };
  }),
  Clip: fc
    .tuple(common(7, 10), lengths(1, 3), fc.option(fc.constant(-0.3)), fc.option(fc.constant(0.4)))
    .map(([base, shape, min, max]): OldOperatorCase => {
      const attributes = { ...(min === null ? {} : { min: float(min) }), ...(max === null ? {} : { max: float(max) }) };
      return { ...base, op: 'Clip', inputs: [fed(shape)], attributes };
    }),
  Pad: fc
    .tuple(common(7, 10), lengths(2, 3), fc.constantFrom('constant', 'reflect', 'edge'), fc.boolean(), fc.nat(2))
    .map(([base, shape, mode, valued, width]): OldOperatorCase => {
      const longer = shape.map((length) => length + 2);
      const pads = longer.flatMap((_, axis) => [axis === 0 ? 0 : width]);
      const attributes = { mode: text(mode), pads: ints([...pads, ...pads]), ...(valued ? { value: float(-2.5) } : {}) };
      return { ...base, op: 'Pad', inputs: [fed(longer)], attributes };
    }),
  Split: fc.tuple(common(7, 17), fc.integer({ min: 1, max: 3 }), fc.boolean()).map(([base, part, uneven]): OldOperatorCase => {
    const given = uneven && base.opset < 13;
    const attributes = { axis: int(1), ...(given ? { split: ints([part, part + 1]) } : {}) };
    return { ...base, op: 'Split', inputs: [fed([2, given ? 2 * part + 1 : 2 * part])], attributes, outputs: 2 };
  }),
  Slice: fc.tuple(common(7, 9), fc.boolean(), fc.integer({ min: -3, max: 2 })).map(([base, axes, start]): OldOperatorCase => {
    const attributes = { starts: ints([start, 0]), ends: ints([1000, -1]), ...(axes ? { axes: ints([1, 2]) } : {}) };
    return { ...base, op: 'Slice', inputs: [fed([4, 4, 4])], attributes };
  }),
  TopK: fc.tuple(common(7, 9), fc.integer({ min: 1, max: 3 }), fc.constantFrom(0, 1)).map(([base, k, axis]): OldOperatorCase => {
    return { ...base, op: 'TopK', inputs: [fed([4, 5])], attributes: { k: int(k), axis: int(axis) }, outputs: 2 };
  }),
  Dropout: fc.tuple(common(7, 11), lengths(1, 3), fc.boolean()).map(([base, shape, ratio]): OldOperatorCase => {
    return { ...base, op: 'Dropout', inputs: [fed(shape)], attributes: ratio ? { ratio: float(0.3) } : {} };
  }),
  Upsample: fc
    .tuple(common(7, 9), fc.constantFrom('nearest', 'linear'), fc.constantFrom(1, 1.5, 2, 3), fc.constantFrom(1, 2, 2.5))
    .map(([base, mode, height, width]): OldOperatorCase => {
      const scales = [1, 1, height, width];
      return base.opset < 9
        ? { ...base, op: 'Upsample', inputs: [fed([1, 2, 3, 4])], attributes: { mode: text(mode), scales: floats(scales) } }
        : { ...base, op: 'Upsample', inputs: [fed([1, 2, 3, 4]), constant('scales', scales)], attributes: { mode: text(mode) } };
    }),
  Resize: fc.oneof(
    fc
      .tuple(fc.boolean(), fc.constantFrom('nearest', 'linear'), fc.constantFrom([1.5, 2], [2, 1], [0.5, 0.6], [1, 0.5], [3, 2.7]))
      .map(([hidden, mode, scales]): OldOperatorCase => ({
        opset: 10,
        hidden,
        op: 'Resize',
        inputs: [fed([1, 2, 5, 6]), constant('scales', [1, 1, ...scales])],
        attributes: { mode: text(mode) },
      })),
    fc
      .tuple(
        common(11, 18),
        fc.constantFrom('nearest', 'linear', 'cubic'),
        fc.constantFrom('half_pixel', 'pytorch_half_pixel', 'align_corners', 'asymmetric', 'tf_crop_and_resize'),
        fc.constantFrom('round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'),
        fc.constantFrom([2, 2], [0.5, 0.5], [1.4, 2], [0.7, 3]),
        fc.boolean(),
      )
      .map(([base, mode, place, nearest, scales, sized]): OldOperatorCase => {
        const roi = constant('roi', place === 'tf_crop_and_resize' ? [0, 0, 0.1, 0.2, 1, 1, 0.8, 0.9] : []);
        const sizes = [1, 1, Math.floor(4 * (scales[0] as number)), Math.floor(5 * (scales[1] as number))];
        const inputs = sized
          ? [fed([1, 1, 4, 5]), roi, constant('scales', []), constant('sizes', sizes, 'int64')]
          : [fed([1, 1, 4, 5]), roi, constant('scales', [1, 1, ...scales])];
        const attributes = { mode: text(mode), coordinate_transformation_mode: text(place), nearest_mode: text(nearest) };
        return { ...base, op: 'Resize', inputs, attributes };
      }),
  ),
  Scatter: common(9, 10).map((base): OldOperatorCase => {
    const indices = constant('indices', [2, 0, 1, 1], 'int64', [2, 2]);
    return { ...base, op: 'Scatter', inputs: [fed([3, 2]), indices, constant('updates', [5, 6, 7, 8], 'float32', [2, 2])] };
  }),
  RoiAlign: fc.tuple(common(10, 15), fc.constantFrom('avg', 'max')).map(([base, mode]): OldOperatorCase => {
    const inputs = [fed([1, 2, 6, 6]), constant('rois', [0, 0, 4, 5, 1, 1, 5, 5], 'float32', [2, 4]), constant('batch', [0, 0], 'int64')];
    const attributes = { mode: text(mode), output_height: int(2), output_width: int(3), sampling_ratio: int(1) };
    return { ...base, op: 'RoiAlign', inputs, attributes };
  }),
  GridSample: fc
    .tuple(common(16, 19), fc.constantFrom('bilinear', 'nearest', 'bicubic', undefined), fc.constantFrom('zeros', 'border', 'reflection'))
    .map(([base, mode, padding]): OldOperatorCase => {
      const grid = constant('grid', [-1, -0.4, 0.3, 0.9, 1.2, 0, -0.2, 0.5], 'float32', [1, 2, 2, 2]);
      return {
        ...base,
        op: 'GridSample',
        inputs: [fed([1, 2, 4, 4]), grid],
        attributes: { ...(mode ? { mode: text(mode) } : {}), padding_mode: text(padding) },
      };
    }),
  DFT: fc.tuple(common(17, 19), fc.constantFrom(undefined, 1, 2), fc.nat(1)).map(([base, axis, inverse]): OldOperatorCase => {
    return {
      ...base,
      op: 'DFT',
      inputs: [fed([1, 4, 5, 2])],
      attributes: { ...(axis === undefined ? {} : { axis: int(axis) }), inverse: int(inverse) },
    };
  }),
  GroupNormalization: fc.tuple(common(18, 20), fc.constantFrom(1, 2, 3)).map(([base, groups]): OldOperatorCase => {
    const vector = (name: string, by: number) =>
      constant(
        name,
        Array.from({ length: groups }, (_, i) => by + i),
      );
    return {
      ...base,
      op: 'GroupNormalization',
      inputs: [fed([2, 6, 3]), vector('scale', 0.5), vector('bias', -1)],
      attributes: { num_groups: int(groups) },
    };
  }),
};
