/** Resize as a linear map of one axis: the positions of the input from which each position of the result is computed, with weights. */

/** Settings of Resize, named as in ONNX. */
export interface Resampling {
  readonly mode: 'nearest' | 'linear' | 'cubic';
  readonly coordinates: string;
  readonly rounding: string;
  readonly cubicFactor: number;
  readonly excludeOutside: boolean;
}

/** One axis: lengths before and after, and the scale between them (given, or the quotient of the lengths). */
export interface ResizedAxis {
  readonly from: number;
  readonly to: number;
  readonly scale: number;
}

/** The input coordinate of a position of the result; undefined for unknown rules. */
function sourceCoordinate(at: number, { from, to, scale }: ResizedAxis, rule: string): number | undefined {
  switch (rule) {
    case 'half_pixel':
      return (at + 0.5) / scale - 0.5;
    case 'pytorch_half_pixel':
      return to > 1 ? (at + 0.5) / scale - 0.5 : 0;
    case 'align_corners':
      return to === 1 ? 0 : (at * (from - 1)) / (to - 1);
    case 'asymmetric':
      return at / scale;
    case 'half_pixel_symmetric': {
      const adjustment = to / (scale * from);
      return (from / 2) * (1 - adjustment) + (at + 0.5) / scale - 0.5;
    }
    default:
      return undefined;
  }
}

const clampTo = (length: number, place: number): number => Math.min(Math.max(place, 0), length - 1);

/** The nearest position; halves are rounded according to `rounding`. */
function nearestPlace(coordinate: number, rounding: string): number {
  if (rounding === 'floor') return Math.floor(coordinate);
  if (rounding === 'ceil') return Math.ceil(coordinate);
  return rounding === 'round_prefer_ceil' ? Math.floor(coordinate + 0.5) : Math.ceil(coordinate - 0.5);
}

/** Weights of the four neighbours of a coordinate, by its distance from the second (Keys' cubic convolution). */
function cubicWeights(t: number, a: number): readonly number[] {
  const near = (d: number): number => ((a + 2) * d - (a + 3)) * d * d + 1;
  const far = (d: number): number => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  return [far(1 + t), near(t), near(1 - t), far(2 - t)];
}

/** The positions that contribute to a position of the result, with weights; undefined for unknown coordinate rules. */
function contributions(at: number, axis: ResizedAxis, how: Resampling): readonly (readonly [number, number])[] | undefined {
  const coordinate = sourceCoordinate(at, axis, how.coordinates);
  if (coordinate === undefined) return undefined;
  if (how.mode === 'nearest') return [[clampTo(axis.from, nearestPlace(coordinate, how.rounding)), 1]];
  if (how.mode === 'linear') {
    const inside = clampTo(axis.from, coordinate);
    const low = Math.floor(inside);
    return [
      [low, 1 - (inside - low)],
      [clampTo(axis.from, low + 1), inside - low],
    ];
  }
  const low = Math.floor(coordinate);
  const weights = cubicWeights(coordinate - low, how.cubicFactor);
  const all = weights.map((weight, index): readonly [number, number] => [low - 1 + index, weight]);
  const kept = how.excludeOutside ? all.filter(([place]) => place >= 0 && place < axis.from) : all;
  const sum = how.excludeOutside ? kept.reduce((total, [, weight]) => total + weight, 0) : 1;
  return kept.map(([place, weight]) => [clampTo(axis.from, place), weight / sum]);
}

/** The map of one axis as a matrix [to, from], row-major; undefined for unknown coordinate rules. */
export function resizeMatrix(axis: ResizedAxis, how: Resampling): readonly number[] | undefined {
  const matrix = Array.from({ length: axis.to * axis.from }, () => 0);
  for (let at = 0; at < axis.to; at += 1) {
    const parts = contributions(at, axis, how);
    if (parts === undefined) return undefined;
    for (const [place, weight] of parts) matrix[at * axis.from + place] = (matrix[at * axis.from + place] as number) + weight;
  }
  return matrix;
}
