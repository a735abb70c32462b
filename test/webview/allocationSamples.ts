import type { BitAllocationView } from '../../src/protocol/panels/bitAllocation';
import type { AllocationItem, AllocationReport } from '../../src/protocol/report';
import { prepareAllocation } from '../../src/common/allocation/prepareAllocation';
import { uniformAt } from './noise';

/** A layer as compressed with four bits. */
export const layer = (index: number) => ({
  name: `model.layers.${index}.mlp.up_proj.weight`,
  weights: 1000,
  bits: index === 1 ? 8 : 4,
  relativeError: 0.05 + index / 100,
  bytesBefore: 2000,
  bytesAfter: 625,
});

/** A view of a job that runs and has nothing to show yet, with changes. */
export const view = (change: Partial<BitAllocationView>): BitAllocationView => ({
  job: 'job-1',
  title: 'small',
  model: 'small',
  method: 'rtn, onnx-fast',
  status: 'running',
  layers: [],
  bytesBefore: 0,
  bytesAfter: 0,
  bitsPerWeight: 0,
  curves: false,
  notes: [],
  ...change,
});

/** Items of 1,000 weights with 2, 3, 4, 6 and 8 bits; the loss falls fourfold with each bit, from a place that differs by item. */
export function allocationReport(tensors: number, itemsPerTensor: number, budget: number): AllocationReport {
  const widths = [2, 3, 4, 6, 8];
  const items: AllocationItem[] = Array.from({ length: tensors * itemsPerTensor }, (_, place) => {
    const strength = 0.1 + uniformAt(place);
    return {
      tensor: layer(Math.floor(place / itemsPerTensor)).name,
      weights: 1000,
      options: widths.map((bits) => ({ bits, storedBits: bits * 1000 + 32, loss: strength * 4 ** -bits })),
    };
  });
  const prepared = prepareAllocation(items);
  const { chosen, loss } = prepared.at(budget * prepared.weights);
  return {
    budget,
    unit: itemsPerTensor === 1 ? 'tensor' : 'group',
    sensitivity: 'error',
    predictedLoss: loss,
    curve: [...prepared.curve(), { bitsPerWeight: 4, loss: 0.02, measured: true }],
    items,
    chosen,
  };
}
