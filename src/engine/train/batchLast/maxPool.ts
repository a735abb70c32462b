import { ints } from '../../graph/builder';
import type { GraphBuilder } from '../../graph/builder';
import type { RegionGradient } from '../../graph/gradient';
import type { Attributes, Value } from '../../graph/graph';
import { formula } from '../../ops/formula';
import { reshaped, staticShape } from '../../ops/gradients';
import type { SlidingAxis } from '../../ops/windows';
import { joined, takenAt } from './patches';
import { spreadOverPlaces } from './spread';
import { inputPlaces, windowPlaces } from './windows';

/** Attributes of a pool whose last axis of space is the batch. */
export function withBatchAxis(attributes: Attributes): Attributes {
  const changed = Object.entries(attributes).map(([name, attribute]) => {
    if (attribute.kind !== 'ints') return [name, attribute] as const;
    const { value } = attribute;
    if (name === 'pads') return [name, ints([...value.slice(0, value.length / 2), 0, ...value.slice(value.length / 2), 0])] as const;
    return [name, ints([...value, 1])] as const;
  });
  return Object.fromEntries(changed);
}

/**
 * MaxPool of x [1, channels, ...space, batch], without the places that ONNX Runtime's own gives (several times the time of the pool, and so many single additions
 * backwards). Backwards, the gradient of each window goes to the first of its places that equals the maximum, as there.
 */
export function maxPool(
  build: GraphBuilder,
  x: Value,
  attributes: Attributes,
  axes: readonly SlidingAxis[],
): { readonly output: Value; readonly region: RegionGradient } {
  const output = build.op('MaxPool', [x], withBatchAxis(attributes));
  const [, channels, ...rest] = staticShape(x) as readonly [number, number, ...number[]];
  const batch = rest.at(-1) as number;
  const places = axes.reduce((product, { length }) => product * length, 1);
  return {
    output,
    region: {
      output,
      inputs: [x],
      gradient: (backward, gradient) => {
        const { mul, equal, cast, op } = formula(backward, x.type.dtype);
        const flat = (value: Value): Value => reshaped(backward, value, [channels, -1, batch]);
        const [source, y, dy] = [flat(x), flat(output), flat(gradient)];
        let taken: Value | undefined;
        const parts = inputPlaces(axes).from.map((row) => {
          const hit = equal(takenAt(backward, source, row, lowest), y);
          const first = taken ? op('And', hit, op('Not', taken)) : hit;
          taken = taken ? op('Or', taken, hit) : hit;
          return mul(dy, cast(first));
        });
        const dx = spreadOverPlaces(backward, joined(backward, parts), windowPlaces(axes), parts.length, places);
        return [reshaped(backward, dx, staticShape(x))];
      },
    },
  };
}

/** Below every value: the most negative float32. */
const lowest = -3.4028234663852886e38;
