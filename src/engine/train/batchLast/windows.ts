import type { SlidingAxis } from '../../ops/windows';

/**
 * Where windows that slide over space take their values from, as tables of flat places that are the same for every channel and sample. A tap is a place of the
 * kernel. Flat places are row-major.
 */
export interface PlaceTable {
  readonly taps: readonly number[];
  /** Places of the result. */
  readonly places: readonly number[];
  /** [taps, places]: places of the source, -1 where there is none. */
  readonly from: readonly (readonly number[])[];
}

/** Part of a table along one axis. */
interface AxisTable {
  readonly taps: readonly number[];
  readonly places: readonly number[];
  /** Length of the source. */
  readonly length: number;
  /** Place of the source, -1 where there is none. */
  from(tap: number, place: number): number;
}

/** What each window takes of the input: the result's places are the windows. */
export function inputPlaces(axes: readonly SlidingAxis[]): PlaceTable {
  const tables = axes.map((axis): AxisTable => ({
    taps: range(axis.kernel),
    places: range(axis.steps),
    length: axis.length,
    from: (tap, place) => placeOrNone(place * axis.stride + tap * axis.dilation - axis.before, axis.length),
  }));
  return combined(tables, axes, ({ steps }) => steps);
}

/**
 * The reverse: which windows each place of the input is in, and under which tap. At strides above 1 the places differ in the taps that reach them: one table for
 * each kind, with its taps only. Places that no tap reaches are in none.
 */
export function windowPlaces(axes: readonly SlidingAxis[]): readonly PlaceTable[] {
  const kinds = axes.map(({ length, kernel, stride, dilation, before, steps }) =>
    range(stride).flatMap((phase): AxisTable[] => {
      const taps = range(kernel).filter((tap) => (tap * dilation) % stride === phase);
      const places = range(length).filter((place) => (((place + before) % stride) + stride) % stride === phase);
      const from = (tap: number, place: number): number => placeOrNone((place + before - tap * dilation) / stride, steps);
      return taps.length === 0 || places.length === 0 ? [] : [{ taps, places, length: steps, from }];
    }),
  );
  return choices(kinds).map((tables) => combined(tables, axes, ({ length }) => length));
}

const range = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);

const placeOrNone = (place: number, length: number): number => (place >= 0 && place < length ? place : -1);

function combined(tables: readonly AxisTable[], axes: readonly SlidingAxis[], lengthOfResult: (axis: SlidingAxis) => number): PlaceTable {
  const taps = choices(tables.map((table) => table.taps));
  const places = choices(tables.map((table) => table.places));
  const flat = (parts: readonly number[], lengths: readonly number[]): number =>
    parts.reduce((high, low, axis) => (high < 0 || low < 0 ? -1 : high * (lengths[axis] as number) + low), 0);
  const lengths = tables.map(({ length }) => length);
  const kernel = axes.map((axis) => axis.kernel);
  const result = axes.map(lengthOfResult);
  return {
    taps: taps.map((tap) => flat(tap, kernel)),
    places: places.map((place) => flat(place, result)),
    from: taps.map((tap) =>
      places.map((place) =>
        flat(
          tables.map((table, axis) => table.from(tap[axis] as number, place[axis] as number)),
          lengths,
        ),
      ),
    ),
  };
}

/** Every choice of one entry of each part, the last part running fastest. */
function choices<T>(parts: readonly (readonly T[])[]): readonly (readonly T[])[] {
  return parts.reduce<readonly (readonly T[])[]>((all, part) => all.flatMap((chosen) => part.map((entry) => [...chosen, entry])), [[]]);
}
