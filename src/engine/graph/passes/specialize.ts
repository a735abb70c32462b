import { ownEntry } from '../../../common/ownEntry';
import { floatDTypes } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import { GraphBuilder } from '../builder';
import type { Graph, Value } from '../graph';
import type { OperatorTable } from '../operator';
import { formatShape, isStaticShape, mayBeEqual } from '../shapes';
import type { ConstantData, Dimension } from '../types';
import { firstOf, foldingRewrite, type FoldTable } from './folding';
import { inlineGraph, type NodeRewrite } from './inline';
import type { InputRoleTable } from './inputRole';
import { pruneGraph } from './prune';
import { valuesForSettings } from './settings';

/** Known lengths: a whole shape under the name of an input, or one number under the name of an axis (`{ batch: 16 }`). */
export type InputShapes = Readonly<Record<string, readonly number[] | number>>;

/** Options of specialisation. */
export interface SpecializeOptions {
  /** Inputs that become constants: a mask of ones, positions. */
  readonly values?: ReadonlyMap<string, ConstantData>;
  /** Names of the outputs to keep, in this order. Default: all. Nodes needed only by others are removed. */
  readonly outputs?: readonly string[];
  /** Tried before folding. */
  readonly rewrites?: readonly NodeRewrite[];
}

/** The lowest opset of graphs for gradients and training steps: files of older ones are read upgraded (`readGraph`). */
export const workingOpset = 21;

/**
 * Specialises a graph to one shape of its inputs: every axis of every input becomes a number, shape arithmetic is evaluated on the host and
 * disappears, and nodes that do nothing (Identity, Dropout in inference, a branch that is never taken) or are not needed are removed.
 * Names of inputs, weights and outputs are kept. The result is what `differentiate` needs: all shapes
 * known, except those that depend on the data.
 *
 * Errors (`invalid-argument`): a name that is neither an input nor an axis, a rank or length that differs from the graph's, two lengths for
 * one axis, an axis that is still unknown; `unsupported`: an operator without a rule; `internal`: an opset below `workingOpset`.
 */
export function specializeGraph(
  graph: Graph,
  inputShapes: InputShapes,
  operators: OperatorTable & FoldTable & InputRoleTable,
  options: SpecializeOptions = {},
): Graph {
  const dimensions = bindDimensions(graph, inputShapes, options.values);
  const version = graph.opsets[''] ?? 1;
  if (version < workingOpset)
    throw new LoomweightError(
      'internal',
      `Graph '${graph.name}' has opset ${version}; it must be read upgraded to opset ${workingOpset}.`,
      {
        graph: graph.name,
        opset: version,
      },
    );
  const build = new GraphBuilder(operators, graph.name, version);
  const substitutes = new Map<string, Value>();
  for (const input of graph.inputs) {
    const fixed = options.values?.get(input.name);
    if (fixed !== undefined) substitutes.set(input.name, build.constant(fixed, input.name));
    else if (!graph.constants.has(input))
      substitutes.set(
        input.name,
        build.input(input.name, { dtype: input.type.dtype, shape: shapeOf(graph, input, inputShapes, dimensions) }),
      );
  }
  const matrices = [...graph.constants.values()].filter(({ dtype, shape }) => floatDTypes.includes(dtype) && shape.length > 1);
  const facts = { settings: valuesForSettings(graph, operators), weightsAreNodes: matrices.length === 0 };
  const rewrite = firstOf([...(options.rewrites ?? []), foldingRewrite(operators, facts)]);
  const made = inlineGraph(build, graph, substitutes, { dimensions, rewrite });
  const wanted = options.outputs ?? graph.outputs.map((output) => output.name);
  for (const name of wanted) {
    const value = graph.outputs.some((output) => output.name === name) ? made.get(name) : undefined;
    if (value === undefined)
      throw new LoomweightError(
        'invalid-argument',
        `Graph '${graph.name}' has no output '${name}'. Its outputs are ${quoted(graph.outputs)}.`,
        {
          graph: graph.name,
          output: name,
        },
      );
    build.output(value, name);
  }
  return pruneGraph(build.finish());
}

/** The number of every named axis, from the names and from the given shapes. */
function bindDimensions(
  graph: Graph,
  inputShapes: InputShapes,
  values: ReadonlyMap<string, ConstantData> = new Map(),
): ReadonlyMap<string, number> {
  const bound = new Map<string, number>();
  const axes = new Set(
    graph.inputs.flatMap((input) => (input.type.shape ?? []).flatMap((length) => (typeof length === 'string' ? namesIn(length) : []))),
  );
  for (const [name, given] of Object.entries(inputShapes)) {
    if (typeof given !== 'number') continue;
    if (!axes.has(name) || !isLength(given))
      throw refused(
        graph,
        isLength(given)
          ? `has no axis '${name}'. Its axes are ${[...axes].map((axis) => `'${axis}'`).join(', ') || 'all known'}; its inputs are ${quoted(graph.inputs)}`
          : `needs a whole number of at least 0 as the length of axis '${name}', got ${given}`,
        { dimension: name },
      );
    bound.set(name, given);
  }
  const shapes = new Map<string, readonly number[]>();
  for (const [name, given] of Object.entries(inputShapes)) if (typeof given !== 'number') shapes.set(name, given);
  for (const [name, data] of values) shapes.set(name, data.shape);
  // Twice: the second time every name is bound, so that sums such as `past + sequence` are checked in any order.
  for (const [name, shape] of [...shapes, ...shapes]) {
    const input = graph.inputs.find((value) => value.name === name);
    if (input === undefined) throw refused(graph, `has no input '${name}'. Its inputs are ${quoted(graph.inputs)}`, { input: name });
    bindInput(graph, input, shape, bound);
  }
  return bound;
}

/** Checks a given shape against the declared one, and learns the lengths of plain axis names from it. */
function bindInput(graph: Graph, input: Value, shape: readonly number[], bound: Map<string, number>): void {
  const declared = input.type.shape;
  const fits =
    shape.every(isLength) &&
    (declared === undefined ||
      (declared.length === shape.length && declared.every((length, axis) => mayBeEqual(length, shape[axis] as number))));
  if (!fits)
    throw refused(graph, `takes input '${input.name}' of shape ${formatShape(declared)}, got ${formatShape(shape)}`, {
      input: input.name,
      expected: declared,
      actual: shape,
    });
  declared?.forEach((length, axis) => {
    if (typeof length === 'number') return;
    const given = shape[axis] as number;
    const known = evaluate(length, bound);
    if (known !== undefined && known !== given)
      throw refused(
        graph,
        `takes input '${input.name}' of shape ${formatShape(declared)} with ${length} = ${known}, got ${formatShape(shape)}`,
        { input: input.name, dimension: length, expected: known, actual: given },
      );
    if (namesIn(length).length === 1 && namesIn(length)[0] === length) bound.set(length, given);
  });
}

function shapeOf(graph: Graph, input: Value, inputShapes: InputShapes, dimensions: ReadonlyMap<string, number>): readonly number[] {
  const given = ownEntry(inputShapes, input.name);
  if (given !== undefined && typeof given !== 'number') return given;
  const shape = input.type.shape?.map((length): Dimension =>
    typeof length === 'number' ? length : (evaluate(length, dimensions) ?? length),
  );
  if (isStaticShape(shape)) return shape;
  throw refused(
    graph,
    `takes input '${input.name}' of shape ${formatShape(input.type.shape)}: ${
      shape === undefined
        ? 'its rank'
        : `the length of ${shape
            .filter((length) => typeof length === 'string')
            .map((length) => `'${length}'`)
            .join(' and ')}`
    } is missing`,
    { input: input.name },
  );
}

/** Names of axes in a length: `past + sequence` has two. */
const namesIn = (length: string): readonly string[] => length.split(/ [+*] /).filter((part) => !/^\d+$/.test(part));

/** A named length, or a sum or product of such; undefined if a part is unknown. */
function evaluate(length: string, bound: ReadonlyMap<string, number>): number | undefined {
  const whole = bound.get(length);
  if (whole !== undefined) return whole;
  let sum = 0;
  for (const term of length.split(' + ')) {
    let product = 1;
    for (const factor of term.split(' * ')) {
      const value = /^\d+$/.test(factor) ? Number(factor) : bound.get(factor);
      if (value === undefined) return undefined;
      product *= value;
    }
    sum += product;
  }
  return sum;
}

const isLength = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

const quoted = (values: readonly Value[]): string => values.map((value) => `'${value.name}'`).join(', ') || 'none';

function refused(graph: Graph, problem: string, details: Readonly<Record<string, unknown>>): LoomweightError {
  return new LoomweightError('invalid-argument', `Graph '${graph.name}' ${problem}.`, { graph: graph.name, ...details });
}
