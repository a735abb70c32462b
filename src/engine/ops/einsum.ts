import { broadcastDimensions, formatShape } from '../graph/shapes';
import type { Dimension } from '../graph/types';
import { defineOp } from './defineOp';
import { commonDType, invalid, stringAttribute } from './inference';

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
    if (terms.length !== types.length) throw invalid(`Einsum '${equation}' has ${terms.length} terms, but ${types.length} inputs.`);
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
        if (merged === undefined) throw invalid(`Einsum '${equation}': index ${letter} is ${String(known)} and ${String(length)}.`);
        // A name and a number: the number says more. Two names: they are the same length, keep the first.
        lengths.set(letter, typeof known === 'string' && typeof length === 'string' ? known : merged);
      });
      if (hidden > ellipsis.length) ellipsis = shape.slice(start, start + hidden);
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
      if (length === undefined) throw invalid(`Einsum '${equation}': index ${String(output[place])} stands in no input.`);
      shape.push(length);
    }
    return [{ dtype, shape }];
  },
});

/** Einsum alone. */
export const einsumOperators = [einsum];
