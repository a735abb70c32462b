import { int } from '../graph/builder';
import type { GraphBuilder } from '../graph/builder';
import type { GradientRule } from '../graph/gradient';
import type { Value } from '../graph/graph';
import { broadcastDimensions, broadcastShapes, formatShape } from '../graph/shapes';
import type { Dimension } from '../graph/types';
import { LoomweightError } from '../../protocol/errors';
import { defineOp } from './defineOp';
import { reshaped, staticShape } from './gradients';
import { commonDType, invalid, stringAttribute } from './inference';

/** An equation with explicit output and a letter for every axis, including those of an ellipsis. */
interface Terms {
  readonly inputs: readonly string[];
  readonly output: string;
}

/** An ellipsis takes unused letters; there are always enough, because operands have few axes. */
const alphabet = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';

/** Expands the ellipsis (aligned at the right, as in broadcasting) and the implicit output. */
function explicitTerms(equation: string, ranks: readonly number[]): Terms {
  const [left = '', right] = equation.replaceAll(' ', '').split('->');
  const terms = left.split(',');
  const hidden = terms.map((term, index) => (term.includes('...') ? (ranks[index] as number) - (term.length - 3) : 0));
  const widest = Math.max(...hidden);
  const free = [...alphabet].filter((letter) => !equation.includes(letter)).slice(0, widest);
  const ellipsis = (count: number): string => free.slice(widest - count).join('');
  const inputs = terms.map((term, index) => term.replace('...', ellipsis(hidden[index] as number)));
  const all = [...left.replaceAll(/[,.]/g, '')];
  const implicit = [...new Set(all)].filter((letter) => all.indexOf(letter) === all.lastIndexOf(letter)).sort();
  return { inputs, output: (right ?? `${left.includes('...') ? '...' : ''}${implicit.join('')}`).replace('...', ellipsis(widest)) };
}

/** A value of the same rank in another shape: summed along axes that were broadcast, expanded along axes of length 1. */
function fitted(build: GraphBuilder, value: Value, shape: readonly number[]): Value {
  const from = staticShape(value);
  const folded = from.map((_, axis) => axis).filter((axis) => shape[axis] === 1 && from[axis] !== 1);
  const summed = folded.length === 0 ? value : build.op('ReduceSum', [value, build.int64(folded)], { keepdims: int(1) });
  const stretched = staticShape(summed).some((length, axis) => length !== shape[axis]);
  return stretched ? build.op('Expand', [summed, build.int64(shape)]) : summed;
}

/**
 * The gradient of an operand is the sum of products of the result's gradient and the other operands, projected onto the operand's letters.
 * Letters that only the operand has were summed, so its gradient is expanded along them.
 */
const einsumGradient: GradientRule = ({ build, node, inputs, outputGradients: [dy], needs }) => {
  if (!dy) return [];
  const operands = inputs.filter((input) => input !== undefined);
  const equation = stringAttribute(node, 'equation', '');
  const { inputs: terms, output } = explicitTerms(
    equation,
    operands.map((operand) => staticShape(operand).length),
  );
  if ([...terms, output].some((term) => new Set(term).size !== term.length))
    throw new LoomweightError('unsupported', `'${equation}' repeats an index in one term (a diagonal). Use Gather or a mask instead.`);
  return operands.map((operand, index) => {
    if (!needs(index)) return undefined;
    const term = terms[index] as string;
    const others = operands.filter((_, other) => other !== index);
    const given = [output, ...terms.filter((_, other) => other !== index)];
    const known = [...term].filter((letter) => given.some((part) => part.includes(letter))).join('');
    const partial = build.op('Einsum', [dy, ...others], { equation: `${given.join(',')}->${known}` });
    const lengths = staticShape(partial);
    const placed = reshaped(
      build,
      partial,
      [...term].map((letter) => (known.includes(letter) ? (lengths[known.indexOf(letter)] as number) : 1)),
    );
    return fitted(build, placed, staticShape(operand));
  });
};

/** Sums of products by index letters, as in `bij,bjk->bik`. Without an arrow the letters that occur once, in order. */
const einsum = defineOp({
  name: 'Einsum',
  inputs: 1,
  maxInputs: Infinity,
  infer: (inputs, context) => {
    const types = inputs.filter((type) => type !== undefined);
    const dtype = commonDType(types);
    const equation = stringAttribute(context, 'equation', '').replaceAll(' ', '');
    const [left = '', right] = equation.split('->');
    const terms = left.split(',');
    if (terms.length !== types.length) throw invalid(`Einsum '${equation}' has ${terms.length} terms but ${types.length} inputs.`);
    const lengths = new Map<string, Dimension>();
    let ellipsis: readonly Dimension[] = [];
    for (const [index, term] of terms.entries()) {
      const shape = types[index]?.shape;
      if (shape === undefined) return [{ dtype, shape: undefined }];
      const letters = term.replace('...', '');
      const hidden = shape.length - letters.length;
      if (hidden < 0 || (hidden > 0 && !term.includes('...')))
        throw invalid(`Einsum '${equation}': term '${term}' does not fit shape ${formatShape(shape)}.`);
      const start = term.includes('...') ? term.indexOf('...') : letters.length;
      [...letters].forEach((letter, place) => {
        const length = shape[place < start ? place : place + hidden] as Dimension;
        const known = lengths.get(letter);
        const merged = known === undefined ? length : broadcastDimensions(known, length);
        if (merged === undefined)
          throw invalid(`Einsum '${equation}': index ${letter} has the lengths ${String(known)} and ${String(length)}.`);
        // Of a name and a number, the number is more specific. Two names denote the same length: keep the first.
        lengths.set(letter, typeof known === 'string' && typeof length === 'string' ? known : merged);
      });
      ellipsis = broadcastShapes(ellipsis, shape.slice(start, start + hidden)) ?? ellipsis;
    }
    const all = [...left.replaceAll(',', '').replaceAll('.', '')];
    const implicit = `${left.includes('...') ? '...' : ''}${all
      .filter((letter) => all.indexOf(letter) === all.lastIndexOf(letter))
      .sort()
      .join('')}`;
    const shape: Dimension[] = [];
    const output = right ?? implicit;
    for (let place = 0; place < output.length; place += 1) {
      if (output.startsWith('...', place)) {
        shape.push(...ellipsis);
        place += 2;
        continue;
      }
      const length = lengths.get(output[place] as string);
      if (length === undefined) throw invalid(`Einsum '${equation}': no input has the index ${String(output[place])}.`);
      shape.push(length);
    }
    return [{ dtype, shape }];
  },
  gradient: einsumGradient,
});

/** The operator of this file. */
export const einsumOperators = [einsum];
