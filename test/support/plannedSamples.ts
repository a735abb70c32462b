import { SeededRandom } from '../../src/common/random';
import { decodeToFloat32, encodeFromFloat32 } from '../../src/engine/formats/decode';
import type { LearnedTensor } from '../../src/engine/formats/archive/learnedTensor';
import type { PlannedTensor, QuantizedMatrix, SparseTensor } from '../../src/engine/outputs/planned/plannedTensor';
import { randomLearned } from './randomLearned';

const half = (values: Float32Array): Float32Array => decodeToFloat32('float16', encodeFromFloat32('float16', values));

/** A matrix with seeded codes, scales and zero points. */
export function randomMatrix(
  rows: number,
  columns: number,
  given: {
    readonly bits?: number;
    readonly groupSize?: number;
    readonly symmetric?: boolean;
    readonly float?: boolean;
    readonly sorted?: boolean;
  } = {},
): QuantizedMatrix {
  const { bits = 4, groupSize = 8, symmetric = false, float = false, sorted = false } = given;
  const random = new SeededRandom(rows * 31 + columns);
  const groups = rows * Math.ceil(columns / groupSize);
  const levels = 2 ** bits;
  const order = Uint32Array.from({ length: columns }, (_, index) => index);
  if (sorted)
    for (let index = columns - 1; index > 0; index -= 1) {
      const other = random.nextBelow(index + 1);
      [order[index], order[other]] = [order[other]!, order[index]!];
    }
  return {
    kind: 'grouped',
    rows,
    columns,
    bits,
    groupSize,
    granularity: groupSize === columns ? 'row' : 'group',
    symmetric,
    codes: Uint8Array.from({ length: rows * columns }, () => random.nextBelow(levels)),
    scales: half(Float32Array.from({ length: groups }, () => 0.01 + random.next() / 10)),
    scaleDType: 'float16',
    zeroPoints: float ? new Uint8Array(0) : Uint8Array.from({ length: groups }, () => (symmetric ? levels / 2 : random.nextBelow(levels))),
    ...(float ? { floatZeroPoints: half(Float32Array.from({ length: groups }, () => random.next() * (levels - 1))) } : {}),
    ...(sorted ? { columnOrder: order } : {}),
  };
}

/** A sparse matrix that keeps some 40 % of its weights, as floats or as codes. */
export function randomSparse(rows: number, columns: number, quantized?: QuantizedMatrix, keep = 0.4): SparseTensor {
  const random = new SeededRandom(rows + columns * 17);
  const bits = Uint8Array.from({ length: rows * columns }, () => (random.next() < keep ? 1 : 0));
  const mask = new Uint8Array(Math.ceil(bits.length / 8));
  bits.forEach((bit, index) => (mask[index >> 3] = mask[index >> 3]! | (bit << (index & 7))));
  const count = bits.reduce((sum, bit) => sum + bit, 0);
  return {
    kind: 'sparse',
    rows,
    columns,
    mask,
    pattern: 'unstructured',
    dtype: 'float16',
    values: quantized ? new Float32Array(0) : half(Float32Array.from({ length: count }, () => random.nextNormal())),
    ...(quantized ? { quantized: { ...quantized, codes: quantized.codes.map((code, index) => (bits[index] === 1 ? code : 0)) } } : {}),
  };
}

/** The values of a planned tensor by its definition, entry by entry: float32 [rows * columns]. */
export function valuesByDefinition(tensor: PlannedTensor): Float32Array {
  switch (tensor.kind) {
    case 'grouped': {
      const groups = Math.ceil(tensor.columns / tensor.groupSize);
      const result = new Float32Array(tensor.rows * tensor.columns);
      for (let row = 0; row < tensor.rows; row += 1)
        for (let place = 0; place < tensor.columns; place += 1) {
          const group = row * groups + Math.floor(place / tensor.groupSize);
          const zero = tensor.floatZeroPoints ? tensor.floatZeroPoints[group]! : tensor.zeroPoints[group]!;
          const column = tensor.columnOrder ? tensor.columnOrder[place]! : place;
          result[row * tensor.columns + column] = Math.fround(
            Math.fround(tensor.codes[row * tensor.columns + place]! - zero) * tensor.scales[group]!,
          );
        }
      return result;
    }
    case 'learned': {
      const { levels, bits, groupSize, minimum, maximum } = tensor.tensor;
      const size = groupSize === 0 ? levels.length : groupSize;
      return Float32Array.from(levels, (level, index) => {
        const width = bits[Math.floor(index / size)]!;
        if (width === 0) return 0;
        const step = Math.fround(Math.fround(maximum - minimum) / (2 ** width - 1));
        return Math.fround(Math.fround(level * step) + Math.fround(minimum));
      });
    }
    case 'sparse': {
      const dense = tensor.quantized && valuesByDefinition(tensor.quantized);
      let next = 0;
      return Float32Array.from({ length: tensor.rows * tensor.columns }, (_, index) => {
        if (((tensor.mask[index >> 3]! >> (index & 7)) & 1) === 0) return 0;
        return dense ? dense[index]! : tensor.values[next++]!;
      });
    }
    case 'plain':
      return tensor.values;
  }
}

/** A learned tensor with several widths. */
export function learnedSample(rows: number, columns: number): LearnedTensor {
  return randomLearned(new SeededRandom(rows * columns), { name: 'w', shape: [rows, columns], groupSize: 8, widths: [0, 2, 5] });
}

/** One of each kind, by what it is. */
export function everyKind(rows: number, columns: number): Readonly<Record<string, PlannedTensor>> {
  return {
    codes: randomMatrix(rows, columns),
    'float zero points': randomMatrix(rows, columns, { float: true, bits: 3 }),
    'sorted columns': randomMatrix(rows, columns, { sorted: true }),
    learned: { kind: 'learned', tensor: learnedSample(rows, columns) },
    sparse: randomSparse(rows, columns),
    'sparse codes': randomSparse(rows, columns, randomMatrix(rows, columns, { bits: 3 })),
    plain: { kind: 'plain', dtype: 'float32', shape: [rows, columns], values: randomSparse(rows, columns, undefined, 1).values },
  };
}
