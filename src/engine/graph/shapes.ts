import { LoomweightError } from '../../protocol/errors';
import type { Dimension, TensorType } from './types';

/**
 * Arithmetic on axis lengths, known or named. A named length is a string such as `batch`; computed ones are written in a canonical form, so
 * that the same length has the same name wherever it is computed: `past + sequence`, `batch * heads`. Two different names may still be
 * equal at run time: only different numbers are a contradiction.
 */

/** Sum of two lengths: `past` and `sequence` give `past + sequence`; terms keep their order of first appearance. */
export function addDimensions(a: Dimension, b: Dimension): Dimension {
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  const terms = [...termsOf(a), ...termsOf(b)];
  const known = terms.filter(isWhole).reduce((sum, term) => sum + Number(term), 0);
  const names = terms.filter((term) => !isWhole(term));
  return [...names, ...(known === 0 ? [] : [String(known)])].join(' + ');
}

/** Product of lengths: `batch`, `heads` and 4 give `batch * heads * 4`. */
export function multiplyDimensions(lengths: readonly Dimension[]): Dimension {
  return divideProducts(lengths, []) as Dimension;
}

/**
 * Quotient of two products of lengths with equal names cancelled: the length that `-1` means in a Reshape. Undefined if it is known not to
 * be an integer.
 */
export function divideProducts(numerator: readonly Dimension[], denominator: readonly Dimension[]): Dimension | undefined {
  const over = factorsOf(numerator);
  const under = factorsOf(denominator);
  const rest: string[] = [];
  for (const name of over.names) {
    const match = under.names.indexOf(name);
    if (match >= 0) under.names.splice(match, 1);
    else rest.push(name);
  }
  if (rest.length === 0 && under.names.length === 0) {
    if (under.known === 0) return over.known === 0 ? 0 : undefined;
    return over.known % under.known === 0 ? over.known / under.known : undefined;
  }
  if (under.names.length === 0 && under.known !== 0 && over.known % under.known === 0) return productName(rest, over.known / under.known);
  return `(${productName(rest, over.known)}) / (${productName(under.names, under.known)})`;
}

/** Length of an axis after NumPy broadcasting. Of two different names, the maximum is taken (one of them may be 1). */
export function broadcastDimensions(a: Dimension, b: Dimension): Dimension | undefined {
  if (a === b || b === 1) return a;
  if (a === 1) return b;
  if (typeof a === 'number') return typeof b === 'number' ? undefined : a;
  if (typeof b === 'number') return b;
  const parts = new Set([...namesInMaximum(a), ...namesInMaximum(b)]);
  return parts.size === 1 ? a : `max(${[...parts].join(', ')})`;
}

/**
 * Shape of an element-wise operation on the given shapes, by NumPy's rule. Undefined (unknown rank) if any of them is. Throws
 * `invalid-argument` if two known lengths contradict each other.
 */
export function broadcastShapes(...shapes: readonly (readonly Dimension[] | undefined)[]): readonly Dimension[] | undefined {
  let result: readonly Dimension[] = [];
  for (const shape of shapes) {
    if (shape === undefined) return undefined;
    const rank = Math.max(result.length, shape.length);
    const left = result;
    result = Array.from({ length: rank }, (_, axis) => {
      const a = left[axis - (rank - left.length)] ?? 1;
      const b = shape[axis - (rank - shape.length)] ?? 1;
      const length = broadcastDimensions(a, b);
      if (length === undefined)
        throw new LoomweightError(
          'invalid-argument',
          `Broadcasting needs lengths that are equal or 1, got ${formatShape(left)} and ${formatShape(shape)}.`,
          { shapes },
        );
      return length;
    });
  }
  return result;
}

/** True unless both lengths are numbers and differ: names may be equal at run time. */
export function mayBeEqual(a: Dimension, b: Dimension): boolean {
  return typeof a !== 'number' || typeof b !== 'number' || a === b;
}

/** True unless the shapes are known to differ. */
export function shapesMayBeEqual(a: readonly Dimension[] | undefined, b: readonly Dimension[] | undefined): boolean {
  if (a === undefined || b === undefined) return true;
  return a.length === b.length && a.every((length, axis) => mayBeEqual(length, b[axis] as Dimension));
}

/** True if every axis is a number. */
export function isStaticShape(shape: readonly Dimension[] | undefined): shape is readonly number[] {
  return shape !== undefined && shape.every((length) => typeof length === 'number');
}

/** `[batch, 4, 8]`; `[?]` means an unknown rank. */
export function formatShape(shape: readonly Dimension[] | undefined): string {
  return shape === undefined ? '[?]' : `[${shape.join(', ')}]`;
}

/** `float32[batch, 4]`. */
export function formatType(type: TensorType): string {
  return type.unknown === true ? 'unknown' : `${type.dtype}${formatShape(type.shape)}`;
}

function termsOf(length: Dimension): readonly string[] {
  // A text with brackets is a quotient or a maximum: one term, whatever is inside.
  const text = String(length);
  return text.includes('(') ? [text] : text.split(' + ');
}

function isWhole(text: string): boolean {
  return /^-?\d+$/.test(text);
}

function factorsOf(lengths: readonly Dimension[]): { known: number; names: string[] } {
  let known = 1;
  const names: string[] = [];
  for (const length of lengths) {
    if (typeof length === 'number') known *= length;
    // A sum or a quotient is one factor; a product that was named before is split again.
    else if (/[(+]/.test(length)) names.push(length);
    else
      for (const part of length.split(' * ')) {
        if (isWhole(part)) known *= Number(part);
        else names.push(part);
      }
  }
  return { known, names };
}

function productName(names: readonly string[], known: number): string {
  const parts = names.map((name) => (name.includes(' + ') && names.length + (known === 1 ? 0 : 1) > 1 ? `(${name})` : name));
  return [...parts, ...(known === 1 && parts.length > 0 ? [] : [String(known)])].join(' * ');
}

function namesInMaximum(name: string): readonly string[] {
  const match = /^max\(([^()]*)\)$/.exec(name);
  return match ? (match[1] as string).split(', ') : [name];
}
