import { LoomweightError } from '../../protocol/errors';
import { formatType } from '../graph/shapes';
import type { DifferentiableOperator, GradientRule } from '../graph/gradient';
import type { InferContext } from '../graph/operator';
import type { TensorType } from '../graph/types';

type Optional = TensorType | undefined;
type Rest = readonly Optional[];
type Required<N extends RequiredCount> = N extends 0
  ? Rest
  : N extends 1
    ? readonly [TensorType, ...Rest]
    : N extends 2
      ? readonly [TensorType, TensorType, ...Rest]
      : N extends 3
        ? readonly [TensorType, TensorType, TensorType, ...Rest]
        : readonly [TensorType, TensorType, TensorType, TensorType, ...Rest];

/** Number of leading inputs that a rule can rely on. */
type RequiredCount = 0 | 1 | 2 | 3 | 4;

/** An operator as defined in its file. */
interface OperatorDefinition<N extends RequiredCount> {
  readonly name: string;
  /** Default: the standard domain. */
  readonly domain?: string;
  /** Number of required leading inputs; more may follow up to `maxInputs` (default: no more). */
  readonly inputs: N;
  readonly maxInputs?: number;
  infer(inputs: Required<N>, context: InferContext): readonly TensorType[];
  /** The gradient rule; `none` if outputs do not change smoothly with the inputs. Omitted: the operator cannot be differentiated. */
  readonly gradient?: GradientRule | 'none';
}

/**
 * Creates an operator from its definition: checks the number of inputs, then applies the shape rule. An input of unknown type (only in read
 * graphs) makes every output unknown.
 */
export function defineOp<N extends RequiredCount>(definition: OperatorDefinition<N>): DifferentiableOperator {
  const { name, domain = '', inputs: required, maxInputs = required, gradient } = definition;
  return {
    name,
    domain,
    ...(gradient === undefined ? {} : { gradient }),
    infer(inputs, context) {
      const used = inputs.reduce((count, type, index) => (type === undefined ? count : index + 1), 0);
      const missing = inputs.slice(0, required).findIndex((type) => type === undefined);
      if (inputs.length < required || missing >= 0 || used > maxInputs)
        throw new LoomweightError(
          'invalid-argument',
          `${name} needs ${describeCount(required, maxInputs)}, got ${inputs.filter((type) => type !== undefined).length}.`,
          { op: name, domain },
        );
      if (inputs.some((type) => type?.unknown === true))
        return Array.from({ length: context.outputCount }, () => ({ dtype: 'float32' as const, shape: undefined, unknown: true as const }));
      try {
        return definition.infer(inputs as unknown as Required<N>, context);
      } catch (error) {
        // Rules are written for the ranks that an operator takes; a damaged graph has any.
        if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
        throw new LoomweightError(
          'invalid-argument',
          `${name} does not take ${inputs.map((type) => (type === undefined ? 'nothing' : formatType(type))).join(', ')}.`,
          { op: name, domain },
          { cause: error },
        );
      }
    },
  };
}

function describeCount(required: number, maximum: number): string {
  if (required === maximum) return `${required} input${required === 1 ? '' : 's'}`;
  return maximum === Infinity ? `at least ${required} inputs` : `${required} to ${maximum} inputs`;
}
