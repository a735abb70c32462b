import type { SizeEstimate } from '../quantizers/quantizer';

/** Bits that tell a group's width, at most: nine widths. */
export const tableBits = 4;

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

/** Size of a matrix whose groups have these widths; the table of widths counts as codes. */
export function mixedEstimate(grid: MixedGrid, groupBits: Uint8Array): SizeEstimate {
  let [codeBits, scaleBits, zeroPointBits] = [0, 0, 0];
  groupBits.forEach((bits, group) => {
    codeBits += tableBits + groupLength(grid, group) * bits;
    if (bits === 0) return;
    scaleBits += grid.scaleBits;
    zeroPointBits += grid.symmetric ? 0 : bits;
  });
  return { codeBits, scaleBits, zeroPointBits };
}
