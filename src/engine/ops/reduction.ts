import { int } from '../graph/builder';
import type { DifferentiableOperator, GradientContext, GradientRule } from '../graph/gradient';
import type { Value } from '../graph/graph';
import type { InferContext } from '../graph/operator';
import type { Dimension, TensorType } from '../graph/types';
import { LoomweightError } from '../../protocol/errors';
import { defineOp } from './defineOp';
import { formula, type Formula } from './formula';
import { reshaped, staticShape } from './gradients';
import { axesOf, intAttribute, normalizeAxis, requireDType, unknownLength } from './inference';

/** Reductions: sums, extremes, norms, and the indices of extremes. */

/** Shape after reducing axes; they are kept as 1 with `keepdims`. With computed axes, at most the rank is known. */
function reducedShape(x: TensorType, axesInput: TensorType | undefined, context: InferContext): readonly Dimension[] | undefined {
  const keep = intAttribute(context, 'keepdims', 1) !== 0;
  const { values } = axesOf(context, 1);
  if (x.shape === undefined) return undefined;
  const shape = x.shape;
  if (values === undefined && axesInput !== undefined) {
    return keep ? shape.map((_, axis) => unknownLength(context, axis)) : undefined;
  }
  const none = values === undefined || values.length === 0;
  if (none && intAttribute(context, 'noop_with_empty_axes', 0) !== 0) return shape;
  const folded = new Set(none ? shape.map((_, axis) => axis) : values.map((axis) => normalizeAxis(axis, shape.length)));
  return keep ? shape.map((length, axis) => (folded.has(axis) ? 1 : length)) : shape.filter((_, axis) => !folded.has(axis));
}

/** Ingredients of the gradient of a reduction: the result and its gradient with the reduced axes kept as 1. */
interface ReductionParts {
  readonly x: Value;
  readonly y: Value;
  readonly dy: Value;
  /** Number of values in one result. */
  readonly count: number;
  /** A sum or product of another value over the same axes, which are kept as 1. */
  reduce(name: 'ReduceSum' | 'ReduceProd', value: Value): Value;
  /** Expands a value of the reduced shape to the shape of the input. */
  expand(value: Value): Value;
}

/** The axes that are reduced; none if it is told to reduce nothing. */
function foldedAxes({ node, constantOf, inputs }: GradientContext, rank: number): readonly number[] {
  const { values } = axesOf({ attributes: node.attributes, constantOf }, 1);
  if (values === undefined && inputs[1])
    throw new LoomweightError('unsupported', 'its axes are computed at run time. Give the graph fixed input shapes first.');
  if (values !== undefined && values.length > 0) return values.map((axis) => normalizeAxis(axis, rank));
  return intAttribute(node, 'noop_with_empty_axes', 0) !== 0 ? [] : Array.from({ length: rank }, (_, axis) => axis);
}

const reductionGradient =
  (of: (parts: ReductionParts, formula: Formula) => Value): GradientRule =>
  (context) => {
    const { build, outputGradients } = context;
    const [x, y, dy] = [context.inputs[0], context.outputs[0], outputGradients[0]];
    if (!x || !y || !dy) return [];
    const shape = staticShape(x);
    const axes = foldedAxes(context, shape.length);
    const kept = shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
    const parts: ReductionParts = {
      x,
      y: reshaped(build, y, kept),
      dy: reshaped(build, dy, kept),
      count: axes.reduce((product, axis) => product * (shape[axis] as number), 1),
      // Over no axes, each value is its own reduction; the runtime still takes its absolute value, square or logarithm.
      reduce: (name, value) => (axes.length === 0 ? value : build.op(name, [value, build.int64(axes)], { keepdims: int(1) })),
      expand: (value) => (axes.length === 0 ? value : build.op('Expand', [value, build.int64(shape)])),
    };
    return [of(parts, formula(build, x.type.dtype))];
  };

/** The extremes of each reduction share its gradient evenly, as in PyTorch's amax and amin. */
const extremeGradient = reductionGradient(({ x, y, dy, reduce }, { mul, div, equal, cast }) => {
  const mask = cast(equal(x, y));
  return mul(mask, div(dy, reduce('ReduceSum', mask)));
});

/**
 * The product of the others: y / x, or the product without zeros if x contains some: with one zero, only its position gets a gradient; with
 * two, none does.
 */
const productGradient = reductionGradient(({ x, dy, reduce }, { mul, div, equal, where, cast }) => {
  const zero = equal(x, 0);
  const zeros = cast(zero);
  const whole = where(zero, 1, x);
  const othersAreWhole = equal(reduce('ReduceSum', zeros), zeros);
  return where(othersAreWhole, div(mul(dy, reduce('ReduceProd', whole)), whole), 0);
});

const reduction = (name: string, gradient: GradientRule): DifferentiableOperator =>
  defineOp({
    name: `Reduce${name}`,
    inputs: 1,
    maxInputs: 2,
    infer: ([x, axes], context) => {
      requireDType(axes, ['int64'], `The axes of Reduce${name}`);
      return [{ dtype: x.dtype, shape: reducedShape(x, axes, context) }];
    },
    gradient,
  });

const argument = (name: string): DifferentiableOperator =>
  defineOp({
    name,
    inputs: 1,
    infer: ([x], context) => {
      const keep = intAttribute(context, 'keepdims', 1) !== 0;
      if (x.shape === undefined) return [{ dtype: 'int64', shape: undefined }];
      const axis = normalizeAxis(intAttribute(context, 'axis', 0), x.shape.length);
      const shape = keep ? x.shape.map((length, index) => (index === axis ? 1 : length)) : x.shape.filter((_, index) => index !== axis);
      return [{ dtype: 'int64', shape }];
    },
    gradient: 'none',
  });

/** All reductions. */
export const reductionOperators = [
  reduction(
    'Sum',
    reductionGradient(({ dy, expand }) => expand(dy)),
  ),
  reduction(
    'Mean',
    reductionGradient(({ dy, count, expand }, { mul }) => expand(mul(dy, 1 / count))),
  ),
  reduction('Max', extremeGradient),
  reduction('Min', extremeGradient),
  reduction('Prod', productGradient),
  reduction(
    'L1',
    reductionGradient(({ x, dy }, { mul, op }) => mul(op('Sign', x), dy)),
  ),
  reduction(
    'L2',
    // At 0 the norm has no slope; PyTorch uses 0 there.
    reductionGradient(({ x, y, dy }, { mul, div, equal, where }) => mul(x, where(equal(y, 0), 0, div(dy, y)))),
  ),
  reduction(
    'SumSquare',
    reductionGradient(({ x, dy }, { mul }) => mul(x, mul(dy, 2))),
  ),
  reduction(
    'LogSum',
    reductionGradient(({ y, dy, expand }, { div, op }) => expand(div(dy, op('Exp', y)))),
  ),
  reduction(
    'LogSumExp',
    reductionGradient(({ x, y, dy }, { sub, mul, op }) => mul(op('Exp', sub(x, y)), dy)),
  ),
  argument('ArgMax'),
  argument('ArgMin'),
];
