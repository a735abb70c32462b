import type { AllocatedLayer } from '../../src/protocol/panels/bitAllocation';
import type { BitHistogram } from '../../src/protocol/report';

/** Maximum number of bars: more cannot be distinguished, and each costs time whenever the budget moves. */
export const mostBars = 400;

/** Adjacent layers that share one bar. */
export interface LayerBin {
  /** Index of the first layer. */
  readonly first: number;
  readonly layers: readonly AllocatedLayer[];
}

/** The widths within a layer: its histogram, or all weights at the layer's single width. */
export function widthsOf(layer: Pick<AllocatedLayer, 'bits' | 'weights' | 'histogram'>): BitHistogram {
  return layer.histogram ?? { bits: [layer.bits], weights: [layer.weights] };
}

/** Groups layers into bars in order, joining neighbours if there are too many for one bar each. */
export function layerBins(layers: readonly AllocatedLayer[]): readonly LayerBin[] {
  const size = Math.max(1, Math.ceil(layers.length / mostBars));
  const bins: LayerBin[] = [];
  for (let first = 0; first < layers.length; first += size) bins.push({ first, layers: layers.slice(first, first + size) });
  return bins;
}

/** Mean of a measure over the layers of a bar, weighted by their number of weights. */
export function binMean(bin: LayerBin, value: (layer: AllocatedLayer) => number): number {
  const weights = bin.layers.reduce((sum, layer) => sum + layer.weights, 0);
  if (weights === 0) return 0;
  return bin.layers.reduce((sum, layer) => sum + value(layer) * layer.weights, 0) / weights;
}

/** All widths that occur in the layers, in ascending order. */
export function occurringWidths(layers: readonly Pick<AllocatedLayer, 'bits' | 'weights' | 'histogram'>[]): readonly number[] {
  const widths = new Set<number>();
  for (const layer of layers) {
    const { bits, weights } = widthsOf(layer);
    bits.forEach((width, index) => {
      if ((weights[index] ?? 0) > 0) widths.add(width);
    });
  }
  return [...widths].sort((a, b) => a - b);
}

/** Height of each width's segment of a bar: its share of the weights times the mean width, so that segments add up to the mean. */
export function binParts(bin: LayerBin, widths: readonly number[]): readonly number[] {
  const counts = new Map<number, number>();
  let [total, weighted] = [0, 0];
  for (const layer of bin.layers) {
    const { bits, weights } = widthsOf(layer);
    bits.forEach((width, index) => {
      const count = weights[index] ?? 0;
      counts.set(width, (counts.get(width) ?? 0) + count);
      total += count;
      weighted += width * count;
    });
  }
  return widths.map((width) => (total === 0 ? 0 : ((counts.get(width) ?? 0) / total) * (weighted / total)));
}
