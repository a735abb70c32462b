import { seededTensor } from '../../support/feeds';
import { operatorCases } from '../../support/operatorCases';
import { isFed, operatorGraph, titleOf } from '../../support/operatorGraph';
import type { Case } from '../placedRun';
import { bodyCases } from './bodies';
import { decoderCases } from './decoder';
import { longSums, quantizedProducts } from './products';

/** Their results are another stream on every provider. */
const random = /^(Random|Bernoulli|Multinomial)/;

/** Every operator that the engine knows: the rows that its shape rules are tested with, whole graphs with bodies, and the graphs of a decoder. */
export function operatorChecks(): readonly Case[] {
  return [...rowCases(), ...longSums(), ...bodyCases(), ...quantizedProducts(), ...decoderCases()];
}

function rowCases(): readonly Case[] {
  return operatorCases
    .filter(({ op }) => !random.test(op))
    .map((row, number) => ({
      name: `${titleOf(row)} (row ${number})`,
      graph: operatorGraph(row, (length) => length),
      feeds: Object.fromEntries(
        row.inputs.flatMap((input, index) =>
          isFed(input) ? [[`x${index}`, seededTensor(input.dtype, input.shape, input.values, index + 1)]] : [],
        ),
      ),
    }));
}
