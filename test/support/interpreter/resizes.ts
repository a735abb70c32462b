import { listOf, numberOf, textOf } from './attributes';
import { mapLines } from './axes';
import type { ReferenceContext, ReferenceKernel, ReferenceTensor } from './interpreter';

/** One line resized, as the specification's reference text computes it: a coordinate, its neighbours, a weighted sum. */
function resizeLine(line: readonly number[], count: number, scale: number, context: ReferenceContext): readonly number[] {
  const length = line.length;
  const rule = textOf(context, 'coordinate_transformation_mode', 'half_pixel');
  const mode = textOf(context, 'mode', 'nearest');
  const rounding = textOf(context, 'nearest_mode', 'round_prefer_floor');
  const at = (place: number): number => line[Math.max(0, Math.min(length - 1, place))] as number;
  return Array.from({ length: count }, (_, index) => {
    let x = index / scale;
    if (rule.endsWith('half_pixel')) x = (index + 0.5) / scale - 0.5;
    if (rule === 'pytorch_half_pixel' && count === 1) x = 0;
    if (rule === 'align_corners') x = count === 1 ? 0 : index * ((length - 1) / (count - 1));
    if (mode === 'nearest') {
      if (rounding === 'floor') return at(Math.floor(x));
      if (rounding === 'ceil') return at(Math.ceil(x));
      const isHalf = x - Math.floor(x) === 0.5;
      if (isHalf) return at(rounding === 'round_prefer_floor' ? Math.floor(x) : Math.ceil(x));
      return at(Math.round(x));
    }
    const low = Math.floor(x);
    const t = x - low;
    if (mode === 'linear') return at(low) * (1 - t) + at(low + 1) * t;
    const a = numberOf(context, 'cubic_coeff_a', -0.75);
    const weight = (distance: number): number => {
      const d = Math.abs(distance);
      if (d <= 1) return (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1;
      return d < 2 ? a * d ** 3 - 5 * a * d ** 2 + 8 * a * d - 4 * a : 0;
    };
    const exclude = numberOf(context, 'exclude_outside', 0) !== 0;
    const places = [low - 1, low, low + 1, low + 2].filter((place) => !exclude || (place >= 0 && place < length));
    const total = exclude ? places.reduce((sum, place) => sum + weight(place - x), 0) : 1;
    return places.reduce((sum, place) => sum + (weight(place - x) / total) * at(place), 0);
  });
}

/** Reference kernel of Resize: one axis after the other. */
export const resizeKernels: Readonly<Record<string, ReferenceKernel>> = {
  ':Resize': ([input, , factors, sizes], context) => {
    let x = input as ReferenceTensor;
    const axes = listOf(context, 'axes') ?? x.shape.map((_, axis) => axis);
    axes.forEach((axis, index) => {
      const length = x.shape[axis] as number;
      const scale = sizes ? (sizes.data[index] as number) / length : (factors?.data[index] as number);
      const count = sizes ? (sizes.data[index] as number) : Math.floor(length * scale);
      if (count !== length || scale !== 1) x = mapLines(x, axis, (line) => resizeLine(line, count, scale, context));
    });
    return [x];
  },
};
