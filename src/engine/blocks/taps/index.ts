import { LoomweightError } from '../../../protocol/errors';
import { gram } from './gram';
import { meanAbsolute } from './meanAbsolute';
import { moments } from './moments';
import type { TapKind } from './tap';

/** Every statistic that can be gathered at a linear layer. */
export const tapKinds: readonly TapKind[] = [moments, gram, meanAbsolute];

/** The statistic with that id. Throws `invalid-argument` that lists what there is. */
export function findTapKind(id: string): TapKind {
  const found = tapKinds.find((kind) => kind.id === id);
  if (found) return found;
  throw new LoomweightError('invalid-argument', `Unknown statistic '${id}'. Statistics: ${tapKinds.map((each) => each.id).join(', ')}.`, {
    id,
  });
}
