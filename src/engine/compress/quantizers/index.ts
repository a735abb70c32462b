import type { MethodDescription } from '../../../protocol/methods';
import { LoomweightError } from '../../../protocol/errors';
import type { Quantizer } from './quantizer';
import { magnitude } from '../pruners/magnitude';
import { sparsegpt } from '../pruners/sparsegpt';
import { wanda } from '../pruners/wanda';
import { gptq } from './gptq';
import { none } from './none';
import { rtn } from './rtn';

/** Every quantisation and pruning method. To add one: a file like rtn.ts or pruners/wanda.ts and a line here. */
export const quantizers: readonly Quantizer[] = [rtn, gptq, magnitude, wanda, sparsegpt, none];

/** The method with that id. Throws `invalid-argument` that lists what there is. */
export function findQuantizer(id: string): Quantizer {
  const found = quantizers.find((quantizer) => quantizer.id === id);
  if (found) return found;
  throw new LoomweightError('invalid-argument', `Unknown method '${id}'. Methods: ${quantizers.map((each) => each.id).join(', ')}.`, {
    method: id,
  });
}

/** The compression methods as plain data: for flags, panels, recipes and docs/methods.md. */
export function describeMethods(): MethodDescription[] {
  return quantizers.map(({ id, family = 'quantizer', label, summary, source, parameters, needs }) => ({
    id,
    family,
    label,
    summary,
    source,
    parameters,
    needs,
  }));
}
