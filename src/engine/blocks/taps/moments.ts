import { int } from '../../graph/builder';
import { meanOf } from './meanOf';
import type { TapKind } from './tap';

/** Mean square of each input column over tokens: (1 / T) sum_t x_ti^2, [columns]. */
export const moments: TapKind = {
  id: 'moments',
  summary: 'Mean square of each input of a layer.',
  shape: (columns) => [columns],
  sum: (build, rows) => build.op('ReduceSum', [build.op('Mul', [rows, rows]), build.int64([0])], { keepdims: int(0) }),
  finish: meanOf,
};
