import type { PlannedTensor } from './plannedTensor';

/** Arrays that a planned tensor holds. */
export type TensorArray = Uint8Array | Uint16Array | Uint32Array | Float32Array;

/** Something for each array of a tensor, by the array's name. */
export type StoredArrays<Item> = Readonly<Record<string, Item | undefined>>;

/** The arrays of a tensor by name. */
export function arraysOf(tensor: PlannedTensor): StoredArrays<TensorArray> {
  switch (tensor.kind) {
    case 'grouped': {
      const { codes, scales, zeroPoints, floatZeroPoints, groupBits, columnOrder } = tensor;
      return { codes, scales, zeroPoints, floatZeroPoints, groupBits, columnOrder };
    }
    case 'learned':
      return { levels: tensor.tensor.levels, bits: tensor.tensor.bits };
    case 'sparse': {
      const quantized = tensor.quantized ? arraysOf(tensor.quantized) : {};
      return {
        mask: tensor.mask,
        values: tensor.values,
        ...Object.fromEntries(Object.entries(quantized).map(([key, array]) => [`quantized.${key}`, array])),
      };
    }
    case 'plain':
      return { values: tensor.values };
  }
}

/** The same tensor with other arrays of the same names. */
export function tensorWith(tensor: PlannedTensor, arrays: StoredArrays<TensorArray>): PlannedTensor {
  const given = Object.fromEntries(Object.entries(arrays).filter(([, array]) => array !== undefined));
  switch (tensor.kind) {
    case 'grouped':
    case 'plain':
      return { ...tensor, ...given };
    case 'learned':
      return { ...tensor, tensor: { ...tensor.tensor, ...given } };
    case 'sparse': {
      const own = Object.fromEntries(Object.entries(given).filter(([key]) => !key.startsWith(prefix)));
      const inner = Object.entries(given).filter(([key]) => key.startsWith(prefix));
      const quantized = tensor.quantized && {
        ...tensor.quantized,
        ...Object.fromEntries(inner.map(([key, array]) => [key.slice(prefix.length), array])),
      };
      return { ...tensor, ...own, ...(quantized ? { quantized } : {}) };
    }
  }
}

const prefix = 'quantized.';

/** Bytes of all arrays. */
export function arrayBytes(arrays: StoredArrays<TensorArray>): number {
  return Object.values(arrays).reduce((sum, array) => sum + (array?.byteLength ?? 0), 0);
}
