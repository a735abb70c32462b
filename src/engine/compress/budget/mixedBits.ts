import { tableBits } from '../../outputs/planned/plannedSizes';

/** A matrix cut into groups of columns: what counting its bits needs. */
export interface MixedGrid {
  readonly columns: number;
  readonly groupSize: number;
  readonly groupsPerRow: number;
  readonly symmetric: boolean;
  readonly scaleBits: number;
}

/** Weights of a group; the last of a row may be shorter. */
export function groupLength({ columns, groupSize, groupsPerRow }: MixedGrid, group: number): number {
  const place = group % groupsPerRow;
  return Math.min(groupSize, columns - place * groupSize);
}

/** Bits of one group: codes, scale, zero point and its entry in the table of widths. */
export function bitsOfGroup(grid: MixedGrid, group: number, bits: number): number {
  return tableBits + (bits === 0 ? 0 : groupLength(grid, group) * bits + grid.scaleBits + (grid.symmetric ? 0 : bits));
}
