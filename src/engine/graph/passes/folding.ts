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

/** What folding knows of the graph that it works on. */
export interface FoldingFacts {
  /** Values that only feed settings: known like whole numbers, and constants when they are computed. */
  readonly settings: ReadonlySet<Value>;
  /** True where the graph keeps its weights in Constant nodes, as some old exporters write them. */
  readonly weightsAreNodes: boolean;
}

/**
 * A rewrite that evaluates what is known: arithmetic on shapes, indices, masks and the small floats computed from them. Constants of
 * whole numbers and booleans are known, floats only as scalars, as Constant nodes and where they were computed themselves: a float
 * tensor among the graph's constants may be a weight that somebody trains. For the same reason float tensors that were computed
 * become Constant nodes.
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
    const folded = fold({ node, types, outputTypes, valueOf: outputTypes.some(isTooLarge) ? () => undefined : valueOf });
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
