import { gram } from './gram';
import { meanAbsolute } from './meanAbsolute';
import { moments } from './moments';
import type { TapKind } from './tap';

/** Every statistic that can be gathered at a linear layer. */
export const tapKinds: readonly TapKind[] = [moments, gram, meanAbsolute];
