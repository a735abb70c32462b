import { numberToFloat16 } from '../../common/halfFloat';
import { elementCount, type DType } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import { decodeToFloat32 } from '../formats/decode';
import type { RuntimeTensor } from '../runtime/types';

/** One column of samples: values in their stored type, [samples, ...]. */
export interface DataColumn {
  /** Where it was read from, for messages. */
  readonly source: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Little-endian, row-major. */
  readonly bytes: Uint8Array;
}

/** Samples with their labels, whole in memory. */
export interface DataSet {
  readonly samples: number;
  readonly inputs: ReadonlyMap<string, DataColumn>;
  readonly label: DataColumn;
  /** Sentences for the report. */
  readonly choices: readonly string[];
}

/** Types that hold whole numbers. */
export const integerTypes: readonly DType[] = ['bool', 'uint8', 'int8', 'uint16', 'int16', 'uint32', 'int32', 'int64'];

/** Whole numbers of a column, exact. Errors: `invalid-argument` for other types. */
export function integersOf({ source, dtype, shape, bytes }: DataColumn): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const readers: Partial<Record<DType, (index: number) => number>> = {
    bool: (index) => view.getUint8(index),
    uint8: (index) => view.getUint8(index),
    int8: (index) => view.getInt8(index),
    uint16: (index) => view.getUint16(2 * index, true),
    int16: (index) => view.getInt16(2 * index, true),
    uint32: (index) => view.getUint32(4 * index, true),
    int32: (index) => view.getInt32(4 * index, true),
    int64: (index) => Number(view.getBigInt64(8 * index, true)),
  };
  const read = readers[dtype];
  if (!read) throw new LoomweightError('invalid-argument', `${source} must hold whole numbers, it holds ${dtype}.`, { source, dtype });
  return Float64Array.from({ length: elementCount(shape) }, (_, index) => read(index));
}

/** A column in the type that the graph wants. Widening is exact; whole numbers become floats and not the other way round. */
export function convertColumn(column: DataColumn, dtype: DType): RuntimeTensor {
  const { shape } = column;
  switch (dtype) {
    case 'float32':
      return { dtype, shape, data: floatsOf(column) };
    case 'float64':
      return { dtype, shape, data: Float64Array.from(floatsOf(column)) };
    case 'float16':
      return { dtype, shape, data: Uint16Array.from(floatsOf(column), numberToFloat16) };
    case 'int64':
      return { dtype, shape, data: BigInt64Array.from([...integersOf(column)].map(BigInt)) };
    case 'int32':
      return { dtype, shape, data: Int32Array.from(integersOf(column)) };
    case 'uint8':
    case 'bool':
      return { dtype, shape, data: Uint8Array.from(integersOf(column)) };
    default:
      throw new LoomweightError('unsupported', `${column.source}: data cannot be fed to an input of type ${dtype}.`, { dtype });
  }
}

function floatsOf({ dtype, shape, bytes }: DataColumn): Float32Array {
  return decodeToFloat32(dtype, bytes, new Float32Array(elementCount(shape)));
}
