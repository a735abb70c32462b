import type { DType } from '../../protocol/dtypes';
import { floatDTypes } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import type { GradientRule } from '../graph/gradient';
import { multiplyDimensions } from '../graph/shapes';
import { dtypeOfElementType } from '../graph/elementTypes';
import type { Dimension, TensorType } from '../graph/types';
import { defineOp } from './defineOp';
import { formula } from './formula';
import { castTo, scalarOf } from './gradients';
import {
  commonDType,
  constantInts,
  intAttribute,
  intsAttribute,
  invalid,
  requireDType,
  requiredInt,
  unknownLength,
  unknownShape,
} from './inference';

/** Operators that produce values (constants, ranges, random numbers) or describe others (Shape), and casts. */

/** Element type given by an attribute, as ONNX's TensorProto.DataType. */
function elementType(code: number): DType {
  const dtype = dtypeOfElementType(code);
  if (dtype === undefined) throw invalid(`Element type ${code} is not one of ONNX's tensor types.`, { elementType: code });
  return dtype;
}

const constant = defineOp({
  name: 'Constant',
  inputs: 0,
  infer: (_, { attributes }) => {
    const { value, value_float: float, value_int: int, value_floats: floats, value_ints: ints } = attributes;
    if (value?.kind === 'tensor') return [{ dtype: value.value.dtype, shape: value.value.shape }];
    if (float?.kind === 'float') return [{ dtype: 'float32', shape: [] }];
    if (int?.kind === 'int') return [{ dtype: 'int64', shape: [] }];
    if (floats?.kind === 'floats') return [{ dtype: 'float32', shape: [floats.value.length] }];
    if (ints?.kind === 'ints') return [{ dtype: 'int64', shape: [ints.value.length] }];
    if (attributes['value_string'] !== undefined) return [{ dtype: 'string', shape: [] }];
    const strings = attributes['value_strings'];
    if (strings?.kind === 'strings') return [{ dtype: 'string', shape: [strings.value.length] }];
    if (attributes['sparse_value'] !== undefined) return [{ dtype: 'float32', shape: undefined, unknown: true }];
    throw invalid('Constant needs one of the attributes value, value_float, value_int, value_floats, value_ints.');
  },
  gradient: 'none',
});

/** Shape given by a vector input of lengths: known, or as many names as the vector is long. */
function shapeFromInput(
  type: TensorType,
  lengths: readonly number[] | undefined,
  names: (rank: number) => readonly string[],
): readonly Dimension[] | undefined {
  if (lengths !== undefined) return lengths;
  const rank = type.shape?.[0];
  return typeof rank === 'number' ? names(rank) : undefined;
}

const constantOfShape = defineOp({
  name: 'ConstantOfShape',
  inputs: 1,
  infer: ([shape], context) => {
    requireDType(shape, ['int64'], 'The shape of ConstantOfShape');
    const value = context.attributes['value'];
    const dtype = value?.kind === 'tensor' ? value.value.dtype : 'float32';
    return [{ dtype, shape: shapeFromInput(shape, constantInts(context, 0), (rank) => unknownShape(context, rank)) }];
  },
  gradient: 'none',
});

/** Numbers from start to limit (excluded) by delta, all scalars. */
const range = defineOp({
  name: 'Range',
  inputs: 3,
  infer: ([start, limit, delta], context) => {
    const dtype = commonDType([start, limit, delta]);
    const values = [0, 1, 2].map((index) => constantInts(context, index)?.[0]);
    const [from, to, by] = values;
    const length =
      from === undefined || to === undefined || by === undefined ? unknownLength(context, 0) : Math.max(0, Math.ceil((to - from) / by));
    return [{ dtype, shape: [length] }];
  },
});

/** Lengths of the axes from `start` to `end` as an int64 vector. */
const shape = defineOp({
  name: 'Shape',
  inputs: 1,
  infer: ([x], context) => {
    if (x.shape === undefined) return [{ dtype: 'int64', shape: [unknownLength(context, 0)] }];
    const rank = x.shape.length;
    const clamp = (axis: number) => Math.min(Math.max(axis < 0 ? axis + rank : axis, 0), rank);
    const start = clamp(intAttribute(context, 'start', 0));
    const end = clamp(intAttribute(context, 'end', rank));
    return [{ dtype: 'int64', shape: [Math.max(0, end - start)] }];
  },
  gradient: 'none',
});

const size = defineOp({ name: 'Size', inputs: 1, infer: () => [{ dtype: 'int64', shape: [] }], gradient: 'none' });

/** The gradient in the type of the input; integers have none. */
const castGradient: GradientRule = ({ build, inputs: [x], outputGradients: [dy] }) =>
  x && dy && floatDTypes.includes(x.type.dtype) ? [castTo(build, dy, x.type.dtype)] : [];

const cast = defineOp({
  name: 'Cast',
  inputs: 1,
  infer: ([x], context) => [{ dtype: elementType(requiredInt(context, 'to')), shape: x.shape }],
  gradient: castGradient,
});

const castLike = defineOp({
  name: 'CastLike',
  inputs: 2,
  infer: ([x, like]) => [{ dtype: like.dtype, shape: x.shape }],
  gradient: castGradient,
});

/** The same bits as another element type of the same width. */
const bitCast = defineOp({
  name: 'BitCast',
  inputs: 1,
  infer: ([x], context) => [{ dtype: elementType(requiredInt(context, 'to')), shape: x.shape }],
});

const eyeLike = defineOp({
  name: 'EyeLike',
  inputs: 1,
  infer: ([x], context) => [
    { dtype: context.attributes['dtype'] ? elementType(intAttribute(context, 'dtype', 1)) : x.dtype, shape: x.shape },
  ],
  gradient: 'none',
});

const random = (name: string) =>
  defineOp({
    name,
    inputs: 0,
    infer: (_, context) => [{ dtype: elementType(intAttribute(context, 'dtype', 1)), shape: intsAttribute(context, 'shape') }],
    gradient: 'none',
  });

const randomLike = (name: string) =>
  defineOp({
    name,
    inputs: 1,
    infer: ([x], context) => [
      { dtype: context.attributes['dtype'] ? elementType(intAttribute(context, 'dtype', 1)) : x.dtype, shape: x.shape },
    ],
    gradient: 'none',
  });

/** Draws `sample_size` class indices per row from unnormalised log-probabilities [batch, classes]. */
const multinomial = defineOp({
  name: 'Multinomial',
  inputs: 1,
  infer: ([x], context) => [
    {
      dtype: elementType(intAttribute(context, 'dtype', 6)),
      shape: x.shape && [x.shape[0] as Dimension, intAttribute(context, 'sample_size', 1)],
    },
  ],
  gradient: 'none',
});

/**
 * In training, dx = dy mask / (1 - ratio), with the mask that the node output: another draw would be another function. In inference, the
 * input is unchanged and the mask is all true.
 */
const dropoutGradient: GradientRule = ({ build, inputs: [x, ratio, training], outputs: [, mask], outputGradients: [dy], constantOf }) => {
  if (!x || !dy) return [];
  const known = constantOf(2);
  if (!training || scalarOf(known) === 0) return [dy];
  if (!mask)
    throw new LoomweightError(
      'unsupported',
      'in training mode the gradient needs its mask, which the node does not output. Add its second output.',
    );
  const { sub, mul, div, where, cast } = formula(build, x.type.dtype);
  const keep = ratio ? sub(1, cast(ratio)) : 0.5;
  const scale = div(1, keep);
  return [mul(mul(dy, cast(mask)), known ? scale : where(training, scale, 1))];
};

/** In inference, the input is unchanged and the mask is all true. */
const dropout = defineOp({
  name: 'Dropout',
  inputs: 1,
  maxInputs: 3,
  infer: ([x]) => [x, { dtype: 'bool', shape: x.shape }],
  gradient: dropoutGradient,
});

/** Sorted distinct values with indices; flattened unless an axis is given. */
const unique = defineOp({
  name: 'Unique',
  inputs: 1,
  infer: ([x], context) => {
    const count = unknownLength(context, 0);
    const axis = context.attributes['axis'];
    const shape =
      axis === undefined ? [count] : x.shape?.map((length, index) => (index === intAttribute(context, 'axis', 0) ? count : length));
    const flat = x.shape === undefined ? unknownLength(context, 1) : multiplyDimensions(x.shape);
    return [
      { dtype: x.dtype, shape },
      { dtype: 'int64', shape: [count] },
      { dtype: 'int64', shape: [axis === undefined ? flat : unknownLength(context, 1)] },
      { dtype: 'int64', shape: [count] },
    ];
  },
});

/** The operators of this file. */
export const sourceOperators = [
  constant,
  constantOfShape,
  range,
  shape,
  size,
  cast,
  castLike,
  bitCast,
  eyeLike,
  random('RandomNormal'),
  random('RandomUniform'),
  randomLike('RandomNormalLike'),
  randomLike('RandomUniformLike'),
  randomLike('Bernoulli'),
  multinomial,
  dropout,
  unique,
];
