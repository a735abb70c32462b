import { floatDTypes } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import type { GraphBuilder } from '../graph/builder';
import type { GradientRule, GradientTable, RegionGradient } from '../graph/gradient';
import type { Node, Value } from '../graph/graph';
import { formatType, shapesMayBeEqual } from '../graph/shapes';

/** A region that differentiation takes as a whole. */
export interface CustomGradient extends RegionGradient {
  /** Computes the same block by block of rows, if the region changes a matrix entry by entry. */
  readonly rows?: RowwiseGradient;
}

/**
 * A region from a matrix [K, N] to one of the same shape whose gradient G with respect to the output is never materialised: it is computed
 * in blocks of rows. The gradient of the matrix itself is G, apart from corrections.
 */
export interface RowwiseGradient {
  /** The matrix: one of the region's inputs. */
  readonly input: Value;
  /** The number of rows per block is a multiple of this. */
  readonly multiple: number;
  /** Tensors that are sliced into blocks along with G: their first axis runs along the rows (K, or K divided by a number). */
  readonly beside: readonly Value[];
  /** The part of one block G [R, N] that is kept; stacked over all blocks, with the block as first axis, it is passed to `gradient`. */
  reduce(block: GraphBuilder, gradient: Value, beside: readonly Value[]): readonly Value[];
  /** Gradients of the region's other inputs, in order. */
  gradient(build: GraphBuilder, kept: readonly Value[]): readonly (Value | undefined)[];
  /**
   * Corrections added to the gradient of whole rows, depending on `dot` = sum G (output - matrix): row indices [T] int64 (rows may repeat)
   * and values [T, N].
   */
  corrections?(build: GraphBuilder, dot: Value): readonly { readonly rows: Value; readonly values: Value }[];
}

/** Options of a differentiation. */
export interface DifferentiateOptions {
  readonly rules: GradientTable;
  readonly custom?: readonly CustomGradient[];
}

/**
 * Adds the gradients of `target` (a float scalar) with respect to each value of `wanted` to the graph being built, in reverse mode, and
 * returns them in the same order; undefined if the target does not depend on a value. Nodes that no gradient passes through are never
 * visited. Errors: `unsupported`, naming node and operator, if a rule is missing or refuses.
 */
export function differentiate(
  build: GraphBuilder,
  target: Value,
  wanted: readonly Value[],
  { rules, custom = [] }: DifferentiateOptions,
): readonly (Value | undefined)[] {
  if (target.type.shape === undefined || target.type.shape.length !== 0)
    throw new LoomweightError(
      'invalid-argument',
      `Only a scalar can be differentiated, got '${target.name}' of type ${formatType(target.type)}.`,
      { value: target.name },
    );
  const nodes = build.nodesSoFar();
  const customs = new Map(custom.map((region) => [region.output, region]));
  const varying = valuesThatDepend(nodes, wanted, customs);
  const gradients = new GradientSums(build);
  if (varying.has(target)) gradients.add(target, one(build, target));

  for (const node of [...nodes].reverse()) {
    const outputGradients = node.outputs.map((output) => (output && varying.has(output) ? gradients.take(output) : undefined));
    if (outputGradients.every((gradient) => gradient === undefined)) continue;
    const region = node.outputs.map((output) => output && customs.get(output)).find((found) => found !== undefined);
    if (region) {
      const outputGradient = outputGradients[node.outputs.indexOf(region.output)];
      if (outputGradient === undefined) continue;
      const given = region.gradient(build, outputGradient);
      region.inputs.forEach((input, index) => {
        const gradient = given[index];
        if (gradient && varying.has(input)) gradients.add(input, checked(gradient, input, node));
      });
      continue;
    }
    if (!node.inputs.some((input) => input && varying.has(input))) continue;
    const rule = ruleOf(node, rules);
    const given = applyRule(rule, build, node, outputGradients, varying);
    node.inputs.forEach((input, index) => {
      const gradient = given[index];
      if (input && gradient && varying.has(input)) gradients.add(input, checked(gradient, input, node));
    });
  }
  return wanted.map((value) => gradients.take(value));
}

/** Every float value that depends on one of `wanted`. */
function valuesThatDepend(nodes: readonly Node[], wanted: readonly Value[], customs: ReadonlyMap<Value, CustomGradient>): Set<Value> {
  const varying = new Set<Value>(wanted);
  for (const node of nodes)
    for (const output of node.outputs) {
      if (!output || !floatDTypes.includes(output.type.dtype)) continue;
      const inputs = customs.get(output)?.inputs ?? node.inputs;
      if (inputs.some((input) => input && varying.has(input))) varying.add(output);
    }
  return varying;
}

/** Gradients accumulated so far; those of a value used more than once are summed when requested. */
class GradientSums {
  private readonly parts = new Map<Value, Value[]>();

  constructor(private readonly build: GraphBuilder) {}

  add(value: Value, gradient: Value): void {
    const parts = this.parts.get(value);
    if (parts) parts.push(gradient);
    else this.parts.set(value, [gradient]);
  }

  take(value: Value): Value | undefined {
    const parts = this.parts.get(value);
    if (!parts || parts.length === 0) return undefined;
    const sum = parts.reduce((total, part) => this.build.op('Add', [total, part], {}, { name: `gradient/${value.name}/sum` }));
    this.parts.set(value, [sum]);
    return sum;
  }
}

function one(build: GraphBuilder, target: Value): Value {
  const ones = build.float32(1);
  return target.type.dtype === 'float32' ? ones : build.op('CastLike', [ones, target]);
}

function ruleOf(node: Node, rules: GradientTable): GradientRule {
  const rule = rules.get(node.domain, node.op)?.gradient;
  if (typeof rule === 'function') return rule;
  if (rule === 'none') return () => [];
  throw refused(node, 'it has no gradient rule');
}

function applyRule(
  rule: GradientRule,
  build: GraphBuilder,
  node: Node,
  outputGradients: readonly (Value | undefined)[],
  varying: ReadonlySet<Value>,
): readonly (Value | undefined)[] {
  try {
    return rule({
      build,
      node,
      inputs: node.inputs,
      outputs: node.outputs,
      outputGradients,
      needs: (input) => {
        const value = node.inputs[input];
        return value !== undefined && varying.has(value);
      },
      constantOf: (input) => {
        const value = node.inputs[input];
        return value && build.constantOf(value);
      },
    });
  } catch (error) {
    if (!(error instanceof LoomweightError)) throw error;
    throw refused(node, error.message, error);
  }
}

function refused(node: Node, reason: string, cause?: Error): LoomweightError {
  const operator = `${node.domain ? `${node.domain}.` : ''}${node.op}`;
  return new LoomweightError(
    'unsupported',
    `Node '${node.name}' (${operator}) cannot be differentiated: ${reason.replace(/\.$/, '')}.`,
    { node: node.name, op: node.op, domain: node.domain },
    { cause },
  );
}

/** Check results of rules where they are used: a gradient of the wrong type would fail much later, or not at all. */
function checked(gradient: Value, input: Value, node: Node): Value {
  if (gradient.type.dtype !== input.type.dtype || !shapesMayBeEqual(gradient.type.shape, input.type.shape))
    throw new LoomweightError(
      'internal',
      `The gradient of node '${node.name}' (${node.op}) for '${input.name}' has type ${formatType(gradient.type)}, but the value has ${formatType(input.type)}.`,
      { node: node.name, op: node.op },
    );
  return gradient;
}
