import type { AllocatedLayer, ComparedResult } from '../../../src/protocol/panels/bitAllocation';
import type { BudgetOutcome } from './budgetModel';

/** One layer in the list: as compressed, under the budget, and in another result. */
export interface LayerRow {
  readonly name: string;
  readonly layer: AllocatedLayer;
  /** Predicted loss of the layer under the budget. */
  readonly loss?: number;
  /** Bytes stored under the budget, or in the result if there is no budget. */
  readonly bytes: number;
  /** Width that the user has pinned. */
  readonly pin?: number;
  readonly other?: AllocatedLayer;
  /** True if only the other result has the layer. */
  readonly foreign: boolean;
}

/** Joins a result, a budget and another result by layer name. Layers keep the order of the result; those only in the other result follow. */
export function layerRows(options: {
  readonly layers: readonly AllocatedLayer[];
  readonly outcome?: Pick<BudgetOutcome, 'tensors'>;
  readonly pins: ReadonlyMap<string, number>;
  readonly other?: ComparedResult;
}): readonly LayerRow[] {
  const { layers, outcome, pins, other } = options;
  const others = new Map(other?.layers.map((layer) => [layer.name, layer]));
  const own = new Set<string>();
  const rows: LayerRow[] = layers.map((layer) => {
    own.add(layer.name);
    const widths = outcome?.tensors.get(layer.name);
    const pin = pins.get(layer.name);
    const partner = others.get(layer.name);
    return {
      name: layer.name,
      layer: widths ? { ...layer, bits: widths.bits, histogram: widths.histogram, weights: widths.weights } : layer,
      bytes: widths ? Math.ceil(widths.storedBits / 8) : layer.bytesAfter,
      ...(widths && { loss: widths.loss }),
      ...(pin !== undefined && { pin }),
      ...(partner && { other: partner }),
      foreign: false,
    };
  });
  // Tensors that the budget covers and the result does not list: left unquantised or pruned entirely.
  for (const [name, widths] of outcome?.tensors ?? []) {
    if (own.has(name)) continue;
    own.add(name);
    const bytes = Math.ceil(widths.storedBits / 8);
    const partner = others.get(name);
    const pin = pins.get(name);
    rows.push({
      name,
      layer: { ...widths, relativeError: 0, bytesBefore: bytes, bytesAfter: bytes },
      loss: widths.loss,
      bytes,
      ...(pin !== undefined && { pin }),
      ...(partner && { other: partner }),
      foreign: false,
    });
  }
  for (const layer of other?.layers ?? []) {
    if (!own.has(layer.name)) rows.push({ name: layer.name, layer, bytes: 0, other: layer, foreign: true });
  }
  return rows;
}

/** Bits of the other result minus those of this one; undefined if either is missing. */
export function difference({ layer, other, foreign }: LayerRow): number | undefined {
  return other === undefined || foreign ? undefined : other.bits - layer.bits;
}
