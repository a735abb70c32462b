import type { DType } from '../../protocol/dtypes';
import type { DifferentiableOperator, GradientRule } from '../graph/gradient';
import type { Node, Value } from '../graph/graph';
import { broadcastShapes } from '../graph/shapes';
import { defineOp } from './defineOp';
import { formula, type Formula } from './formula';
import { sumToShapeOf } from './gradients';
import { commonDType, floatTypes, requireDType } from './inference';

/** Common forms of element-wise operators: one input, two inputs of the same type, any number. */

type Gradient = GradientRule | 'none' | undefined;

const withGradient = (gradient: Gradient): { readonly gradient?: GradientRule | 'none' } => (gradient === undefined ? {} : { gradient });

/** Ingredients of the gradient of a unary operator. */
export interface UnaryParts {
  readonly x: Value;
  readonly y: Value;
  readonly dy: Value;
  readonly node: Node;
}

/** The gradient rule of a unary float operator: the formula of d(target)/dx. */
export const unaryGradient =
  (of: (parts: UnaryParts, formula: Formula) => Value): GradientRule =>
  ({ build, node, inputs: [x], outputs: [y], outputGradients: [dy], needs }) =>
    x && y && dy && needs(0) ? [of({ x, y, dy, node }, formula(build, x.type.dtype))] : [];

/** Ingredients of the gradient of a binary operator. */
export interface BinaryParts {
  readonly a: Value;
  readonly b: Value;
  readonly y: Value;
  readonly dy: Value;
}

/** The gradient rule of a binary broadcasting operator: d(target)/da and d(target)/db before they are reduced to the inputs' shapes. */
export const binaryGradient =
  (
    left: (parts: BinaryParts, formula: Formula) => Value,
    right: (parts: BinaryParts, formula: Formula, left: Value | undefined) => Value,
  ): GradientRule =>
  ({ build, inputs: [a, b], outputs: [y], outputGradients: [dy], needs }) => {
    if (!a || !b || !y || !dy) return [];
    const parts = { a, b, y, dy };
    const arithmetic = formula(build, a.type.dtype);
    const da = needs(0) ? left(parts, arithmetic) : undefined;
    const db = needs(1) ? right(parts, arithmetic, da) : undefined;
    return [da && sumToShapeOf(build, da, a), db && sumToShapeOf(build, db, b)];
  };

/** Two inputs of the same type, and a result of that type. */
export const binary = (name: string, gradient?: Gradient): DifferentiableOperator =>
  defineOp({
    name,
    inputs: 2,
    infer: ([a, b]) => [{ dtype: commonDType([a, b]), shape: broadcastShapes(a.shape, b.shape) }],
    ...withGradient(gradient),
  });

/** One input, and a result of its type. */
export const unary = (
  name: string,
  options: { readonly domain?: string; readonly allowed?: readonly DType[]; readonly gradient?: GradientRule | 'none' } = {},
): DifferentiableOperator =>
  defineOp({
    name,
    ...(options.domain === undefined ? {} : { domain: options.domain }),
    inputs: 1,
    infer: ([x]) => {
      if (options.allowed) requireDType(x, options.allowed, `The input of ${name}`);
      return [x];
    },
    ...withGradient(options.gradient),
  });

/** One float input, and a result of its type. */
export const real = (name: string, gradient?: Gradient, domain = ''): DifferentiableOperator =>
  unary(name, { domain, allowed: floatTypes, ...withGradient(gradient) });

/** Any number of inputs of one type. */
export const variadic = (name: string, gradient?: Gradient): DifferentiableOperator =>
  defineOp({
    name,
    inputs: 1,
    maxInputs: Infinity,
    infer: (inputs) => [{ dtype: commonDType(inputs), shape: broadcastShapes(...inputs.map((type) => type?.shape)) }],
    ...withGradient(gradient),
  });
