import { int } from '../../graph/builder';
import { meanOf } from './meanOf';
import type { TapKind } from './tap';

/** Mean absolute value of each input column over tokens: (1 / T) sum_t |x_ti|, [columns]. */
export const meanAbsolute: TapKind = {
  id: 'mean-absolute',
  summary: 'Mean absolute value of each input of a layer.',
  shape: (columns) => [columns],
  sum: (build, rows) => build.op('ReduceSum', [build.op('Abs', [rows]), build.int64([0])], { keepdims: int(0) }),
  finish: meanOf,
};
