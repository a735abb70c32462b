import type { Grouping } from '../parameters';
import { searchClipping } from '../rounding/clipSearch';
import { roundGroups } from '../rounding/roundGroups';

/** How the groups of a matrix get their scales and zero points. */
export interface GridSettings {
  readonly name: string;
  readonly rows: number;
  readonly bits: number;
  readonly symmetric: boolean;
  readonly scaleDType: 'float16' | 'float32';
  /** Search for a shorter range. */
  readonly clip: boolean;
}

/** Scales and zero points of groups, [rows, groups]. */
export interface Grids {
  readonly scales: Float32Array;
  readonly zeroPoints: Uint8Array;
}

/**
 * Scales and zero points of all groups of `weights` [rows, columns], as `roundGroups` places them, shortened with `clip`. `groupBits` [rows, groups]: widths of the groups; those of 0 bits get
 * scale and zero point 0. Errors: as `roundGroups`.
 */
export function gridsOf(
  settings: GridSettings,
  weights: Float32Array,
  columns: number,
  grouping: Pick<Grouping, 'granularity' | 'groupSize' | 'groupsPerRow'>,
  groupBits?: Uint8Array,
): Grids {
  if (!groupBits) return gridsOfWidth(settings, weights, columns, grouping);
  const scales = new Float32Array(groupBits.length);
  const zeroPoints = new Uint8Array(groupBits.length);
  for (const bits of new Set(groupBits)) {
    if (bits === 0) continue;
    const grids = gridsOfWidth({ ...settings, bits }, weights, columns, grouping);
    for (let group = 0; group < groupBits.length; group += 1) {
      if (groupBits[group] !== bits) continue;
      scales[group] = grids.scales[group] as number;
      zeroPoints[group] = grids.zeroPoints[group] as number;
    }
  }
  return { scales, zeroPoints };
}

function gridsOfWidth(
  { name, rows, clip, ...settings }: GridSettings,
  weights: Float32Array,
  columns: number,
  { granularity, groupSize, groupsPerRow }: Pick<Grouping, 'granularity' | 'groupSize' | 'groupsPerRow'>,
): Grids {
  const storedGroups = granularity === 'tensor' ? 1 : rows * groupsPerRow;
  const { scales, zeroPoints } = roundGroups(name, weights, rows, columns, {
    ...settings,
    granularity,
    groupSize,
    groupsPerRow,
    storedGroups,
  });
  if (!clip) return { scales, zeroPoints };
  if (granularity !== 'tensor') {
    searchClipping({ ...settings, weights, columns, groupSize, scales, zeroPoints });
    return { scales, zeroPoints };
  }
  const one = { scales: scales.slice(0, 1), zeroPoints: zeroPoints.slice(0, 1) };
  searchClipping({ ...settings, weights, columns: weights.length, groupSize: weights.length, ...one });
  return { scales: scales.fill(one.scales[0] as number), zeroPoints: zeroPoints.fill(one.zeroPoints[0] as number) };
}
