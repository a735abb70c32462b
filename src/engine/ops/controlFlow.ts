import type { Graph } from '../graph/graph';
import type { InferContext } from '../graph/operator';
import type { Dimension, TensorType } from '../graph/types';
import { defineOp } from './defineOp';
import { constantInts, intAttribute, intsAttribute, invalid, requireDType, unknownLength } from './inference';

/** Operators with bodies. Types come from the outputs of the bodies; lengths that may change between iterations become names. */

/** A graph attribute. */
function body(context: InferContext, name: string): Graph {
  const attribute = context.attributes[name];
  if (attribute?.kind !== 'graph') throw invalid(`Attribute ${name} must be a graph.`, { attribute: name });
  return attribute.value;
}

/** A type that covers both: equal lengths are kept, others become names. */
function merged(a: TensorType, b: TensorType, context: InferContext, output: number): TensorType {
  if (a.unknown === true || b.unknown === true) return a.unknown === true ? a : b;
  if (a.dtype !== b.dtype) throw invalid(`Output ${output} would be ${a.dtype} or ${b.dtype}: both paths must give the same element type.`);
  const other = b.shape;
  if (a.shape === undefined || other === undefined || a.shape.length !== other.length) return { dtype: a.dtype, shape: undefined };
  return {
    dtype: a.dtype,
    shape: a.shape.map((length, axis): Dimension => (length === other[axis] ? length : unknownLength(context, `${output}.${axis}`))),
  };
}

const ifOperator = defineOp({
  name: 'If',
  inputs: 1,
  infer: ([condition], context) => {
    requireDType(condition, ['bool'], 'The condition of If');
    const yes = body(context, 'then_branch').outputs;
    const no = body(context, 'else_branch').outputs;
    if (yes.length !== no.length)
      throw invalid(`If needs the same number of outputs from both branches, got ${yes.length} and ${no.length}.`);
    return yes.map((value, index) => merged(value.type, (no[index] as typeof value).type, context, index));
  },
});

/**
 * Inputs: trip count, condition (both optional), carried values. Body: iteration, condition, carried values in;
 * condition, carried values, one slice of each stacked output out.
 */
const loop = defineOp({
  name: 'Loop',
  inputs: 0,
  maxInputs: Infinity,
  infer: ([trips, condition, ...carried], context) => {
    requireDType(trips, ['int64'], 'The trip count of Loop');
    requireDType(condition, ['bool'], 'The condition of Loop');
    const { inputs, outputs } = body(context, 'body');
    if (inputs.length !== carried.length + 2 || outputs.length < carried.length + 1)
      throw invalid(
        `A Loop that carries ${carried.length} values needs a body with ${carried.length + 2} inputs and at least ${carried.length + 1} outputs, got ${inputs.length} and ${outputs.length}.`,
      );
    const count = constantInts(context, 0)?.[0] ?? unknownLength(context, 'trips');
    return outputs.slice(1).map((value, index) => {
      const start = carried[index];
      if (index < carried.length) return start === undefined ? value.type : merged(start, value.type, context, index);
      if (value.type.unknown === true) return value.type;
      // With its own condition, the body may stop early.
      const length = condition === undefined ? count : unknownLength(context, 'trips');
      return { dtype: value.type.dtype, shape: value.type.shape && [length, ...value.type.shape] };
    });
  },
});

/** Carried values first, then `num_scan_inputs` sequences that are sliced along their scan axes. */
const scan = defineOp({
  name: 'Scan',
  inputs: 1,
  maxInputs: Infinity,
  infer: (inputs, context) => {
    const scanned = intAttribute(context, 'num_scan_inputs', 0);
    const states = inputs.length - scanned;
    const { outputs } = body(context, 'body');
    const axis = intsAttribute(context, 'scan_input_axes')?.[0] ?? 0;
    const sequence = inputs[states]?.shape;
    const length = sequence?.[axis < 0 ? axis + sequence.length : axis] ?? unknownLength(context, 'steps');
    const outputAxes = intsAttribute(context, 'scan_output_axes');
    return outputs.map((value, index) => {
      const start = inputs[index];
      if (index < states) return start === undefined ? value.type : merged(start, value.type, context, index);
      if (value.type.unknown === true || value.type.shape === undefined) return value.type;
      const given = outputAxes?.[index - states] ?? 0;
      const place = given < 0 ? given + value.type.shape.length + 1 : given;
      return { dtype: value.type.dtype, shape: [...value.type.shape.slice(0, place), length, ...value.type.shape.slice(place)] };
    });
  },
});

/** All operators with bodies. */
export const controlFlowOperators = [ifOperator, loop, scan];
