import type { Levels } from './bitPlanes';

/**
 * How entries are divided into groups: row by row, `groupSize` consecutive entries each, with a shorter last group if the row is not a
 * multiple. A learned tensor is one row of all its entries.
 */
export interface GroupGrid {
  readonly rows: number;
  readonly columns: number;
  readonly groupSize: number;
}

/** Groups of all rows. */
export function groupCount({ rows, columns, groupSize }: GroupGrid): number {
  return rows * Math.ceil(columns / groupSize);
}

/** Number of groups of each width from 0 to 15. */
export function groupsByWidth(bits: Uint8Array): Float64Array {
  const counts = new Float64Array(16);
  for (let group = 0; group < bits.length; group += 1) counts[bits[group] as number]! += 1;
  return counts;
}

/** Number of entries in the groups of each width from 0 to 15. */
export function entriesByWidth(grid: GroupGrid, bits: Uint8Array): Float64Array {
  const { rows, columns, groupSize } = grid;
  const counts = new Float64Array(16);
  let group = 0;
  for (let row = 0; row < rows; row += 1)
    for (let column = 0; column < columns; column += groupSize, group += 1)
      counts[bits[group] as number]! += Math.min(groupSize, columns - column);
  return counts;
}

/** Copies the entries of all groups of one width, in order, one after the other. Returns their number. */
export function collectClass(source: Levels, grid: GroupGrid, bits: Uint8Array, width: number, target: Levels): number {
  const { rows, columns, groupSize } = grid;
  let group = 0;
  let position = 0;
  for (let row = 0; row < rows; row += 1)
    for (let column = 0; column < columns; column += groupSize, group += 1) {
      if (bits[group] !== width) continue;
      const end = row * columns + Math.min(column + groupSize, columns);
      for (let index = row * columns + column; index < end; index += 1, position += 1) target[position] = source[index] as number;
    }
  return position;
}

/** The inverse: puts entries of one width back in their positions, mapped through `table` if given. */
export function spreadClass(
  source: Levels,
  grid: GroupGrid,
  bits: Uint8Array,
  width: number,
  target: Levels | Float32Array,
  table?: Float32Array,
): void {
  const { rows, columns, groupSize } = grid;
  let group = 0;
  let position = 0;
  for (let row = 0; row < rows; row += 1)
    for (let column = 0; column < columns; column += groupSize, group += 1) {
      if (bits[group] !== width) continue;
      const end = row * columns + Math.min(column + groupSize, columns);
      if (table)
        for (let index = row * columns + column; index < end; index += 1, position += 1)
          target[index] = table[source[position] as number] as number;
      else for (let index = row * columns + column; index < end; index += 1, position += 1) target[index] = source[position] as number;
    }
}
