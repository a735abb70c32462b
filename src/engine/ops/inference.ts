import type { DType } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import type { Attributes } from '../graph/graph';
import type { InferContext } from '../graph/operator';
import { formatShape, formatType } from '../graph/shapes';
import type { ConstantData, Dimension, TensorType } from '../graph/types';

/** Helpers of shape rules: attributes, constant inputs, axes, and errors that state what was wrong. */

/** Shape of a value; undefined if the rank is unknown. */
export type Shape = readonly Dimension[] | undefined;

/** The error of a rule: inputs that the operator does not accept. */
export function invalid(message: string, details?: Readonly<Record<string, unknown>>): LoomweightError {
  return new LoomweightError('invalid-argument', message, details);
}

/** Anything with attributes: a node, or the context of a shape rule. */
interface Attributed {
  readonly attributes: Attributes;
}

/** An `int` attribute, or the default of the operator's specification. */
export function intAttribute(context: Attributed, name: string, fallback: number): number {
  const attribute = context.attributes[name];
  if (attribute === undefined) return fallback;
  if (attribute.kind !== 'int') throw invalid(`Attribute ${name} must be an int, got ${attribute.kind}.`, { attribute: name });
  return attribute.value;
}

/** A `float` attribute, or the default of the operator's specification. */
export function floatAttribute(context: Attributed, name: string, fallback: number): number {
  const attribute = context.attributes[name];
  if (attribute === undefined) return fallback;
  if (attribute.kind !== 'float') throw invalid(`Attribute ${name} must be a float, got ${attribute.kind}.`, { attribute: name });
  return attribute.value;
}

/** An `ints` attribute. */
export function intsAttribute(context: Attributed, name: string): readonly number[] | undefined {
  const attribute = context.attributes[name];
  if (attribute === undefined) return undefined;
  if (attribute.kind !== 'ints') throw invalid(`Attribute ${name} must be a list of ints, got ${attribute.kind}.`, { attribute: name });
  return attribute.value;
}

/** A `string` attribute, or the default of the operator's specification. */
export function stringAttribute(context: Attributed, name: string, fallback: string): string {
  const attribute = context.attributes[name];
  if (attribute === undefined) return fallback;
  if (attribute.kind !== 'string') throw invalid(`Attribute ${name} must be a string, got ${attribute.kind}.`, { attribute: name });
  return attribute.value;
}

/** A required attribute. */
export function requiredInt(context: Attributed, name: string): number {
  if (context.attributes[name] === undefined) throw invalid(`Attribute ${name} is missing.`, { attribute: name });
  return intAttribute(context, name, 0);
}

/**
 * The integers of a constant input (int64, int32, or the small integer types) if it is an inline constant. Undefined if it is computed,
 * absent or external.
 */
export function constantInts(context: Pick<InferContext, 'constantOf'>, input: number): readonly number[] | undefined {
  const data = context.constantOf(input);
  return data === undefined ? undefined : integersOf(data);
}

/** The integers of an inline constant; undefined for others. */
export function integersOf(data: ConstantData): readonly number[] | undefined {
  if (data.kind !== 'inline') return undefined;
  const { bytes, dtype } = data;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (dtype === 'int64') return Array.from({ length: bytes.byteLength >> 3 }, (_, i) => Number(view.getBigInt64(i * 8, true)));
  if (dtype === 'int32') return Array.from({ length: bytes.byteLength >> 2 }, (_, i) => view.getInt32(i * 4, true));
  if (dtype === 'uint8' || dtype === 'bool') return [...bytes];
  return undefined;
}

/** Axes of a reduction, Squeeze and the like: an input in newer opsets, an attribute in older ones. */
export function axesOf(
  context: Pick<InferContext, 'attributes' | 'constantOf'>,
  input: number,
): { readonly given: boolean; readonly values: readonly number[] | undefined } {
  const attribute = intsAttribute(context, 'axes');
  if (attribute !== undefined) return { given: true, values: attribute };
  const constant = constantInts(context, input);
  return { given: constant !== undefined, values: constant };
}

/** An axis counted from the front. Throws if it exceeds the rank. */
export function normalizeAxis(axis: number, rank: number): number {
  const normal = axis < 0 ? axis + rank : axis;
  if (normal < 0 || normal >= rank || !Number.isInteger(axis))
    throw invalid(`Axis ${axis} is out of range for a tensor of rank ${rank}.`, { axis, rank });
  return normal;
}

/** A name for a length that the rule cannot determine: the node's name and the axis. */
export function unknownLength(context: InferContext, axis: number | string): string {
  return `${context.node}.${axis}`;
}

/** A shape of known rank and unknown lengths. */
export function unknownShape(context: InferContext, rank: number): readonly string[] {
  return Array.from({ length: rank }, (_, axis) => unknownLength(context, axis));
}

/** Throws unless all given inputs have the same element type; returns it. */
export function commonDType(types: readonly (TensorType | undefined)[]): DType {
  const present = types.filter((type) => type !== undefined);
  const first = present[0];
  if (first === undefined) throw invalid('At least one input is needed.');
  const other = present.find((type) => type.dtype !== first.dtype);
  if (other !== undefined)
    throw invalid(`Inputs must have the same element type, got ${formatType(first)} and ${formatType(other)}. Add a Cast.`);
  return first.dtype;
}

/** Throws unless the element type is one of the allowed types. */
export function requireDType(type: TensorType | undefined, allowed: readonly DType[], what: string): void {
  if (type !== undefined && !allowed.includes(type.dtype))
    throw invalid(`${what} must be ${allowed.join(' or ')}, got ${formatType(type)}.`);
}

/** Throws unless the rank is unknown or one of those given. */
export function requireRank(type: TensorType | undefined, ranks: readonly number[], what: string): void {
  if (type?.shape !== undefined && !ranks.includes(type.shape.length))
    throw invalid(`${what} must have rank ${ranks.join(' or ')}, got shape ${formatShape(type.shape)}.`);
}

/** Real element types of 16 bits or more. */
export const floatTypes: readonly DType[] = ['float32', 'float16', 'float64', 'bfloat16'];

/** Element types of indices. */
export const indexTypes: readonly DType[] = ['int64', 'int32'];
