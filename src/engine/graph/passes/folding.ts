import { byteLength, floatDTypes } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import type { GraphBuilder } from '../builder';
import type { Graph, Node, Value } from '../graph';
import type { InferContext, Operator, OperatorTable } from '../operator';
import { isStaticShape } from '../shapes';
import type { ConstantData, TensorType } from '../types';
import type { NodeRewrite } from './inline';

/** What an operator's evaluation on the host is given. */
export interface FoldContext {
  readonly node: Node;
  /** Types of the inputs; undefined for optional inputs that are missing. */
  readonly types: readonly (TensorType | undefined)[];
  /** Types of the outputs as the operator's shape rule gives them. */
  readonly outputTypes: readonly TensorType[];
  /** The constant behind an input, where it is one that may be computed with: never a weight. */
  valueOf(input: number): ConstantData | undefined;
}

/** An output that is known: its value, or the input that it equals. */
export type FoldedOutput = ConstantData | { readonly kind: 'same'; readonly input: number };

/** What folding makes of a node: its outputs in order, or a body that takes its place. */
export type Folded = readonly FoldedOutput[] | { readonly kind: 'body'; readonly body: Graph };

/** Evaluates a node whose inputs are known. Undefined: it stays a node. */
export type Fold = (context: FoldContext) => Folded | undefined;

/** The operators that can be evaluated while a graph is copied. Given to passes, which know no operator themselves. */
export interface FoldTable {
  fold(domain: string, name: string): Fold | undefined;
}

/** Results above these sizes stay nodes: masks and tables of indices are worth it, tables of numbers would bloat the graph. */
const largestFold = { float: 64 * 1024, other: 4 * 1024 * 1024 };

/**
 * A rewrite that evaluates what is known: arithmetic on shapes, indices, masks and the small floats computed from them. Constants of
 * whole numbers and booleans are known, floats only as scalars and where they were folded themselves: a float tensor may be a weight
 * that somebody trains. `settings`: values of the old graph that are no weights, so that they are known like whole numbers.
 */
export function foldingRewrite(operators: OperatorTable & FoldTable, settings: ReadonlySet<Value> = new Set()): NodeRewrite {
  const computed = new Set<Value>();
  return (node, inputs, build) => {
    const fold = operators.fold(node.domain, node.op);
    const operator = operators.get(node.domain, node.op);
    if (fold === undefined || operator === undefined) return undefined;
    const types = inputs.map((input) => input?.type);
    if (types.some((type) => type?.unknown === true)) return undefined;
    const constantOf = (index: number): ConstantData | undefined => {
      const value = inputs[index];
      return value && build.constantOf(value);
    };
    const outputTypes = inferred(operator, types, {
      attributes: node.attributes,
      node: node.name,
      outputCount: node.outputs.length,
      constantOf,
    });
    if (outputTypes === undefined) return undefined;
    const valueOf = (index: number): ConstantData | undefined => {
      const value = inputs[index];
      if (value === undefined) return undefined;
      const old = node.inputs[index];
      const isSetting = old !== undefined && settings.has(old);
      const known = !floatDTypes.includes(value.type.dtype) || value.type.shape?.length === 0 || computed.has(value) || isSetting;
      return known ? build.constantOf(value) : undefined;
    };
    const folded = fold({ node, types, outputTypes, valueOf: outputTypes.some(isTooLarge) ? () => undefined : valueOf });
    if (folded === undefined || 'kind' in folded) return folded;
    if (folded.some((output) => output.kind === 'inline' && node.inputs.length > 0 && isTooLarge(output))) return undefined;
    return folded.map((output, index) => {
      if (output.kind === 'same') return inputs[output.input] as Value;
      const name = node.outputs[index]?.name ?? node.name;
      // A Constant node may hold a weight: it keeps its name, and is known only as far as any other constant is.
      if (node.inputs.length === 0) return build.constant(output, build.freeName(name));
      const value = build.constant(output, build.freeName(`${name}/folded`));
      computed.add(value);
      return value;
    });
  };
}

/** Output types; undefined where the rule refuses: the builder will say so, with the node's name. */
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

function isTooLarge({ dtype, shape }: TensorType): boolean {
  return isStaticShape(shape) && byteLength(dtype, shape) > (floatDTypes.includes(dtype) ? largestFold.float : largestFold.other);
}

/** Applies the first rewrite that has an answer. */
export function firstOf(rewrites: readonly NodeRewrite[]): NodeRewrite {
  return (node: Node, inputs: readonly (Value | undefined)[], build: GraphBuilder) => {
    for (const rewrite of rewrites) {
      const found = rewrite(node, inputs, build);
      if (found !== undefined) return found;
    }
    return undefined;
  };
}
