import { wholeNumber, type Field } from '../../protocol/fields';

/** A number above 0. */
export function positiveNumber(key: string, doc: string, max: number): Field {
  return { key, doc, type: { kind: 'value', spec: { key, label: key, doc, kind: 'number', min: 0, above: true, max, default: 1 } } };
}

/** What limits the choice of a token. */
export const samplingFields: readonly Field[] = [
  wholeNumber('topK', 'Draw from this many most probable tokens only. Default: all.', 1),
  positiveNumber('topP', 'Draw from the most probable tokens that together reach this probability only. Default: 1, all.', 1),
  positiveNumber('repetitionPenalty', 'Makes tokens that are in the text already less probable if above 1. Default: 1.', 10),
];
