import type { GraphBuilder } from '../../graph/builder';
import type { Value } from '../../graph/graph';
import { staticShape } from '../../ops/gradients';
import { joined, takenAt } from './patches';
import type { PlaceTable } from './windows';

/**
 * The reverse of patches: each place of the input gets the sum of what windows hold for it. `values` [channels, taps * windows, batch] holds for each window and tap
 * what goes to the place under it; `tables` are those of `windowPlaces`; gives [channels, places, batch].
 */
export function spreadOverPlaces(build: GraphBuilder, values: Value, tables: readonly PlaceTable[], taps: number, places: number): Value {
  const windows = (staticShape(values)[1] as number) / taps;
  const rowsOf = ({ taps: used, from }: PlaceTable): readonly (readonly number[])[] =>
    from.map((row, index) => row.map((window) => (window < 0 ? -1 : (used[index] as number) * windows + window)));
  if (tables.every((table) => table.taps.length === 1)) {
    // Every place is in one window at most.
    const source = new Map(tables.flatMap((table) => table.places.map((place, index) => [place, rowsOf(table)[0]?.[index] ?? -1])));
    return takenAt(
      build,
      values,
      Array.from({ length: places }, (_, place) => source.get(place) ?? -1),
    );
  }
  const sums = tables.map((table) =>
    rowsOf(table)
      .map((row) => takenAt(build, values, row))
      .reduce((sum, part) => build.op('Add', [sum, part])),
  );
  return inOrder(build, sums, tables, places);
}

/** Values of each table's places, put in the order of all places; zeros where no table has one. */
export function inOrder(build: GraphBuilder, parts: readonly Value[], tables: readonly PlaceTable[], places: number): Value {
  const order = new Map(tables.flatMap((table) => table.places).map((place, index) => [place, index]));
  return takenAt(
    build,
    joined(build, parts),
    Array.from({ length: places }, (_, place) => order.get(place) ?? -1),
  );
}
