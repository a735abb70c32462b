import { dtypes, elementCount, type DType } from '../../../protocol/dtypes';
import type { BitHistogram } from '../../../protocol/report';
import { learnedBits, learnedGroupSize } from '../../formats/archive/dequantizeLearned';
import type { LearnedTensor } from '../../formats/archive/learnedTensor';
import { groupsPerRow, matrixLayoutOf, keptWeights, type MatrixLayout, type PlannedTensor, type QuantizedMatrix } from './plannedTensor';

/** Size of a planned tensor in bits, before any file format's padding. */
export interface MatrixSize {
  readonly codeBits: number;
  readonly scaleBits: number;
  readonly zeroPointBits: number;
}

/** Size of a matrix whose groups all have `bits`. */
export function matrixSize(layout: MatrixLayout): MatrixSize {
  const { rows, columns, bits, granularity, symmetric } = layout;
  const scaleWidth = layout.scaleDType === 'float32' ? 32 : 16;
  const groups = granularity === 'tensor' ? 1 : rows * groupsPerRow(layout);
  const zeroWidth = symmetric ? 0 : layout.zeroPointsAreFloat ? scaleWidth : bits;
  const order = layout.columnsAreSorted ? 32 * columns : 0;
  return { codeBits: rows * columns * bits + order, scaleBits: groups * scaleWidth, zeroPointBits: groups * zeroWidth };
}

/** Bits that name the width of a group, at most: nine widths. */
export const tableBits = 4;

/** Size of a matrix whose groups have their own widths, [rows, groups]; pruned groups (0 bits) store nothing. The table of widths counts as codes. */
export function mixedSize(layout: MatrixLayout, groupBits: Uint8Array): MatrixSize {
  let codeBits = 0;
  let widths = 0;
  let stored = 0;
  const perRow = groupsPerRow(layout);
  for (let group = 0; group < groupBits.length; group += 1) {
    const bits = groupBits[group] as number;
    codeBits += tableBits + bits * Math.min(layout.groupSize, layout.columns - (group % perRow) * layout.groupSize);
    widths += bits;
    if (bits > 0) stored += 1;
  }
  return { codeBits, scaleBits: stored * (layout.scaleDType === 'float32' ? 32 : 16), zeroPointBits: layout.symmetric ? 0 : widths };
}

/**
 * Size of a planned tensor: masks and the order of columns count as codes, learned tensors by the published formula, plain values in their type.
 */
export function plannedSize(tensor: PlannedTensor): MatrixSize {
  switch (tensor.kind) {
    case 'grouped': {
      const layout = matrixLayoutOf(tensor);
      return tensor.groupBits ? mixedSize(layout, tensor.groupBits) : matrixSize(layout);
    }
    case 'learned':
      return { codeBits: learnedBits(tensor.tensor), scaleBits: 0, zeroPointBits: 0 };
    case 'sparse': {
      const kept = keptWeights(tensor);
      const mask = tensor.rows * tensor.columns;
      if (!tensor.quantized) return { codeBits: mask + kept * bitsOfType(tensor.dtype), scaleBits: 0, zeroPointBits: 0 };
      return { ...plannedSize(tensor.quantized), codeBits: mask + kept * tensor.quantized.bits };
    }
    case 'plain':
      return { codeBits: elementCount(tensor.shape) * bitsOfType(tensor.dtype), scaleBits: 0, zeroPointBits: 0 };
  }
}

/** All bits of a size. */
export function sizeBits({ codeBits, scaleBits, zeroPointBits }: MatrixSize): number {
  return codeBits + scaleBits + zeroPointBits;
}

function bitsOfType(dtype: DType): number {
  return (8 * dtypes[dtype].blockBytes) / dtypes[dtype].blockSize;
}

/** Bits of a code; where groups differ, their mean over weights and how many weights have which. */
export function widthsOf(tensor: PlannedTensor): { readonly bits: number; readonly histogram?: BitHistogram } {
  switch (tensor.kind) {
    case 'grouped':
      return tensor.groupBits ? summary(groupedWidths(tensor, tensor.groupBits)) : { bits: tensor.bits };
    case 'learned':
      return summary(learnedWidths(tensor.tensor));
    case 'sparse': {
      const kept = keptWeights(tensor);
      const width = tensor.quantized ? tensor.quantized.bits : bitsOfType(tensor.dtype);
      return summary(
        new Map([
          [0, tensor.rows * tensor.columns - kept],
          [width, kept],
        ]),
      );
    }
    case 'plain':
      return { bits: bitsOfType(tensor.dtype) };
  }
}

function groupedWidths(matrix: QuantizedMatrix, groupBits: Uint8Array): Map<number, number> {
  const perRow = groupsPerRow(matrix);
  const weights = new Map<number, number>();
  groupBits.forEach((bits, group) => {
    const length = Math.min(matrix.groupSize, matrix.columns - (group % perRow) * matrix.groupSize);
    weights.set(bits, (weights.get(bits) ?? 0) + length);
  });
  return weights;
}

function learnedWidths(tensor: LearnedTensor): Map<number, number> {
  const size = learnedGroupSize(tensor);
  const weights = new Map<number, number>();
  tensor.bits.forEach((bits, group) => {
    const length = Math.min((group + 1) * size, tensor.levels.length) - group * size;
    weights.set(bits, (weights.get(bits) ?? 0) + length);
  });
  return weights;
}

function summary(weights: ReadonlyMap<number, number>): { readonly bits: number; readonly histogram: BitHistogram } {
  const sorted = [...weights].filter(([, count]) => count > 0).sort((a, b) => a[0] - b[0]);
  const total = sorted.reduce((sum, [, count]) => sum + count, 0);
  return {
    bits: sorted.reduce((sum, [bits, count]) => sum + bits * count, 0) / Math.max(1, total),
    histogram: { bits: sorted.map(([bits]) => bits), weights: sorted.map(([, count]) => count) },
  };
}
