import type { DifferentiableOperator } from '../graph/gradient';
import { broadcastShapes } from '../graph/shapes';
import { defineOp } from './defineOp';
import { binary, unary } from './elementwiseForms';
import { commonDType, requireDType } from './inference';

/** Comparisons, logic and bit operations: results that do not change with small changes of the inputs. */

const comparison = (name: string): DifferentiableOperator =>
  defineOp({
    name,
    inputs: 2,
    infer: ([a, b]) => {
      commonDType([a, b]);
      return [{ dtype: 'bool', shape: broadcastShapes(a.shape, b.shape) }];
    },
    gradient: 'none',
  });

const logical = (name: string): DifferentiableOperator =>
  defineOp({
    name,
    inputs: 2,
    infer: ([a, b]) => {
      requireDType(a, ['bool'], `The first input of ${name}`);
      requireDType(b, ['bool'], `The second input of ${name}`);
      return [{ dtype: 'bool', shape: broadcastShapes(a.shape, b.shape) }];
    },
    gradient: 'none',
  });

/** A predicate on floats. */
const test = (name: string): DifferentiableOperator =>
  defineOp({ name, inputs: 1, infer: ([x]) => [{ dtype: 'bool', shape: x.shape }], gradient: 'none' });

/** The operators of this file. */
export const comparisonOperators = [
  ...['Equal', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual'].map(comparison),
  ...['And', 'Or', 'Xor'].map(logical),
  ...['IsNaN', 'IsInf'].map(test),
  unary('Not', { allowed: ['bool'], gradient: 'none' }),
  unary('BitwiseNot', { gradient: 'none' }),
  ...['BitShift', 'BitwiseAnd', 'BitwiseOr', 'BitwiseXor'].map((name) => binary(name, 'none')),
];
