import { byteLength, floatDTypes } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import type { GraphBuilder } from '../builder';
import type { Graph, Node, Value } from '../graph';
import type { InferContext, Operator, OperatorTable } from '../operator';
import { isStaticShape } from '../shapes';
import type { ConstantData, TensorType } from '../types';
import type { NodeRewrite } from './inline';

/** Input of an operator's evaluation on the host. */
export interface FoldContext {
  readonly node: Node;
  /** Types of the inputs; undefined for optional inputs that are missing. */
  readonly types: readonly (TensorType | undefined)[];
  /** Types of the outputs as the operator's shape rule gives them. */
  readonly outputTypes: readonly TensorType[];
  /** The constant behind an input, if it may be used in computations: never a weight. */
  valueOf(input: number): ConstantData | undefined;
}

/** A known output: its value, or the input that it equals. */
export type FoldedOutput = ConstantData | { readonly kind: 'same'; readonly input: number };

/** The result of folding a node: its outputs in order, or a body that replaces it. */
export type Folded = readonly FoldedOutput[] | { readonly kind: 'body'; readonly body: Graph };

/** Evaluates a node with known inputs. Undefined: the node is kept. */
export type Fold = (context: FoldContext) => Folded | undefined;

/** The operators that can be evaluated while a graph is copied. Passed in, so that passes do not depend on operators. */
export interface FoldTable {
  fold(domain: string, name: string): Fold | undefined;
}

/** Larger results are kept as nodes: folding masks and tables of indices is worthwhile, but tables of floats would bloat the graph. */
const largestFold = { float: 64 * 1024, other: 4 * 1024 * 1024 };

/** What folding knows about the graph. */
export interface FoldingFacts {
  /** Values that are only used as settings: treated as known like integers, and turned into constants when they are computed. */
  readonly settings: ReadonlySet<Value>;
  /** True if the graph stores its weights in Constant nodes, as some old exporters do. */
  readonly weightsAreNodes: boolean;
}

/**
 * A rewrite that evaluates what is known: arithmetic on shapes, indices, masks and the small floats computed from them. Integer and boolean
 * constants are known; floats only if they are scalars, Constant nodes or computed by folding: a float tensor among the graph's constants
 * may be a trained weight. For the same reason, computed float tensors become Constant nodes.
 */
export function foldingRewrite(operators: OperatorTable & FoldTable, { settings, weightsAreNodes }: FoldingFacts): NodeRewrite {
  const literals = new Map<Value, ConstantData>();
  return (node, inputs, build) => {
    const fold = operators.fold(node.domain, node.op);
    const operator = operators.get(node.domain, node.op);
    if (fold === undefined || operator === undefined) return undefined;
    const types = inputs.map((input) => input?.type);
    if (types.some((type) => type?.unknown === true)) return undefined;
    const constantOf = (index: number): ConstantData | undefined => {
      const value = inputs[index];
      return value && (literals.get(value) ?? build.constantOf(value));
    };
    const context = { attributes: node.attributes, node: node.name, outputCount: node.outputs.length, constantOf };
    const outputTypes = inferred(operator, types, context);
    if (outputTypes === undefined) return undefined;
    const valueOf = (index: number): ConstantData | undefined => {
      const value = inputs[index];
      const old = node.inputs[index];
      if (value === undefined || old === undefined) return undefined;
      const isKnown = !mayBeWeight(value.type) || literals.has(value) || settings.has(old);
      return isKnown ? constantOf(index) : undefined;
    };
    const folded = computed(fold, {
      node,
      types,
      outputTypes,
      valueOf: outputTypes.some((type) => isTooLarge(type) || isImpossible(type)) ? () => undefined : valueOf,
    });
    if (folded === undefined || 'kind' in folded) return folded;
    if (folded.some((output) => output.kind === 'inline' && node.inputs.length > 0 && isTooLarge(output))) return undefined;
    return folded.map((output, index) => {
      if (output.kind === 'same') return inputs[output.input] as Value;
      const old = node.outputs[index];
      const stem = old?.name ?? node.name;
      const isSource = node.inputs.length === 0;
      const name = build.freeName(isSource ? stem : `${stem}/folded`);
      const isConstant = !mayBeWeight(output) || (isSource && weightsAreNodes) || (old !== undefined && settings.has(old));
      if (isConstant) return build.constant(output, name);
      const [value] = build.node(
        'Constant',
        [],
        { value: { kind: 'tensor', value: output } },
        { name: `${name}/literal`, outputNames: [name] },
      );
      literals.set(value as Value, output);
      return value as Value;
    });
  };
}

function mayBeWeight({ dtype, shape }: TensorType): boolean {
  return floatDTypes.includes(dtype) && shape?.length !== 0;
}

/** Output types; undefined if the rule refuses: the builder will report that with the node's name. */
function inferred(
  operator: Operator,
  types: readonly (TensorType | undefined)[],
  context: InferContext,
): readonly TensorType[] | undefined {
  try {
    return operator.infer(types, context);
  } catch (error) {
    if (error instanceof LoomweightError) return undefined;
    throw error;
  }
}

/** What a rule computes; undefined where it meets values that nothing can be computed with (a division by zero): the runtime reports them. */
function computed(fold: Fold, entry: FoldContext): Folded | undefined {
  try {
    return fold(entry);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** True for a negative length, which constants of a damaged graph can ask for. */
function isImpossible({ shape }: TensorType): boolean {
  return shape?.some((length) => typeof length === 'number' && !(length >= 0)) === true;
}

function isTooLarge({ dtype, shape }: TensorType): boolean {
  return isStaticShape(shape) && byteLength(dtype, shape) > (floatDTypes.includes(dtype) ? largestFold.float : largestFold.other);
}

/** Applies the first rewrite that returns a result. */
export function firstOf(rewrites: readonly NodeRewrite[]): NodeRewrite {
  return (node: Node, inputs: readonly (Value | undefined)[], build: GraphBuilder) => {
    for (const rewrite of rewrites) {
      const found = rewrite(node, inputs, build);
      if (found !== undefined) return found;
    }
    return undefined;
  };
}
