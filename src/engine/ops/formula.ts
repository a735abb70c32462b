import type { DType } from '../../protocol/dtypes';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import { castTo, floatScalar } from './gradients';

/** A value of the graph, or a number that becomes a constant of the formula's element type. */
export type Operand = Value | number;

/** Arithmetic on values of one float type, so that gradient rules read like formulas. Each call adds one node. */
export interface Formula {
  add(a: Operand, b: Operand): Value;
  sub(a: Operand, b: Operand): Value;
  mul(a: Operand, b: Operand): Value;
  div(a: Operand, b: Operand): Value;
  /** A bool: `a` is greater than (less than, equal to) `b`. */
  greater(a: Operand, b: Operand): Value;
  less(a: Operand, b: Operand): Value;
  equal(a: Operand, b: Operand): Value;
  /** `a` if the condition holds, otherwise `b`. */
  where(condition: Value, a: Operand, b: Operand): Value;
  /** An operator without attributes. */
  op(name: string, ...operands: readonly Operand[]): Value;
  scalar(value: number): Value;
  /** A value of another type converted to the formula's type (bools to 1 and 0). */
  cast(value: Value): Value;
}

/** Arithmetic in the graph being built; numbers become constants of `dtype`. */
export function formula(build: GraphBuilder, dtype: DType): Formula {
  const scalar = (value: number): Value => floatScalar(build, value, dtype);
  const valueOf = (operand: Operand): Value => (typeof operand === 'number' ? scalar(operand) : operand);
  const op = (name: string, ...operands: readonly Operand[]): Value => build.op(name, operands.map(valueOf));
  return {
    add: (a, b) => op('Add', a, b),
    sub: (a, b) => op('Sub', a, b),
    mul: (a, b) => op('Mul', a, b),
    div: (a, b) => op('Div', a, b),
    greater: (a, b) => op('Greater', a, b),
    less: (a, b) => op('Less', a, b),
    equal: (a, b) => op('Equal', a, b),
    where: (condition, a, b) => build.op('Where', [condition, valueOf(a), valueOf(b)]),
    op,
    scalar,
    cast: (value) => castTo(build, value, dtype),
  };
}
