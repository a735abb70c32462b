import { packPlanes, planeBytes } from '../../../src/engine/formats/archive/bitPlanes';
import { inputTensor, numberParam, type GoldenRunner } from './golden';

/**
 * DiffQ's bit planes with the archive's packer: theirs puts entry i into row i / G and column i % G of a 16 x G rectangle and makes one int16 of each column,
 * ours takes entries one after another; so the rectangle's columns, laid one behind the other, give the same words.
 */
export const diffqTorchPack: GoldenRunner = (golden, check) => {
  const { data } = inputTensor(golden, 'values');
  const bits = numberParam(golden, 'bits');
  const columns = Math.ceil(data.length / 16);
  const levels = Uint16Array.from({ length: columns * 16 }, (_, index) => data[(index % 16) * columns + Math.floor(index / 16)] ?? 0);
  const bytes = new Uint8Array(planeBytes(levels.length, bits));
  packPlanes(levels, levels.length, bits, bytes, 0);
  const view = new DataView(bytes.buffer);
  check.compare(
    'packed',
    Int16Array.from({ length: bits * columns }, (_, index) => view.getInt16(2 * index, true)),
  );
};
