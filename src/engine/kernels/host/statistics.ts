import { dtypes, elementCount, type DType } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import type { TensorStatistics } from '../../../protocol/model';
import type { TensorContainer, TensorEntry } from '../../formats/container';
import { decodeToFloat32, isDecodable, tableOf } from '../../formats/decode';
import { statisticsOfCodes } from './codeStatistics';
import { CodeCounter } from './countCodes';
import { elementChunks } from './elements';
import { BinCounter, Moments } from './moments';
import { tensorNotFound } from '../../formats/malformed';

/** Options of statistics. */
export interface StatisticsOptions {
  /** Number of bins of the histogram, 1 to 4,096. */
  readonly bins?: number;
  readonly signal?: AbortSignal;
}

/**
 * Minimum, maximum, mean, population standard deviation, zeros, non-finite values and a histogram of one tensor, streamed. 8-bit and 16-bit
 * types: one pass counts how often each code occurs, and everything else follows exactly from the counts (sums in float64). Other types:
 * one pass for the moments and one for the histogram, whose range is only known then. Non-finite values are counted and excluded from the
 * rest; an empty tensor has zeros everywhere. Block types are dequantised first. Speed: see test/benchmarks/statistics.ts. Errors:
 * `not-found`, `unsupported` for types without real values, `invalid-argument` for an invalid number of bins.
 */
export async function tensorStatistics(
  container: TensorContainer,
  name: string,
  { bins = 64, signal }: StatisticsOptions = {},
): Promise<TensorStatistics> {
  const entry = container.tensors.get(name);
  if (!entry) throw tensorNotFound(container.path, name);
  if (!Number.isInteger(bins) || bins < 1 || bins > 4096)
    throw new LoomweightError('invalid-argument', `A histogram has 1 to 4096 bins, got ${bins}.`, { bins });
  // Throws for types without values before anything is read.
  if (!isDecodable(entry.dtype)) decodeToFloat32(entry.dtype, new Uint8Array(0));
  const values = codeValues(entry.dtype);
  const summary = values ? await byCodes(container, entry, values, bins, signal) : await byValues(container, entry, bins, signal);
  return { name, dtype: entry.dtype, shape: entry.shape, count: elementCount(entry.shape), ...summary };
}

type Summary = Omit<TensorStatistics, 'name' | 'dtype' | 'shape' | 'count'>;

/** Value of every code of an 8-bit or 16-bit type; undefined for wider and narrower ones. */
function codeValues(dtype: DType): ArrayLike<number> | undefined {
  if (dtype === 'uint8') return Float32Array.from({ length: 256 }, (_, code) => code);
  if (dtype === 'int8') return Float32Array.from({ length: 256 }, (_, code) => (code << 24) >> 24);
  if (dtype === 'bool') return Float32Array.from({ length: 256 }, (_, code) => (code === 0 ? 0 : 1));
  if (dtype === 'uint16') return Float32Array.from({ length: 65536 }, (_, code) => code);
  if (dtype === 'int16') return Float32Array.from({ length: 65536 }, (_, code) => (code << 16) >> 16);
  // Elements that share a byte cannot be counted by bytes.
  return dtypes[dtype].blockSize === 1 ? tableOf(dtype) : undefined;
}

async function byCodes(
  container: TensorContainer,
  entry: TensorEntry,
  values: ArrayLike<number>,
  bins: number,
  signal: AbortSignal | undefined,
): Promise<Summary> {
  const counter = new CodeCounter(values.length === 256 ? 256 : 65536);
  for await (const { bytes } of elementChunks(container, entry, signal)) counter.add(bytes);
  return statisticsOfCodes(counter.counts(), values, bins);
}

async function byValues(container: TensorContainer, entry: TensorEntry, bins: number, signal: AbortSignal | undefined): Promise<Summary> {
  const moments = new Moments();
  for await (const { bytes, count } of elementChunks(container, entry, signal)) moments.add(realValues(entry.dtype, bytes, count));
  const { minimum, maximum } = moments;
  const histogram = new BinCounter(minimum, maximum, bins);
  for await (const { bytes, count } of elementChunks(container, entry, signal)) histogram.add(realValues(entry.dtype, bytes, count));
  return { ...moments.summary(), histogram: { minimum, maximum, counts: histogram.counts() } };
}

/** Values of a piece; float64 stays float64, everything else is exact in float32 or defined by it. */
function realValues(dtype: DType, bytes: Uint8Array, count: number): Float32Array | Float64Array {
  if (dtype === 'float64') {
    const aligned = bytes.byteOffset % 8 === 0 ? bytes : new Uint8Array(bytes);
    return new Float64Array(aligned.buffer, aligned.byteOffset, count);
  }
  if (dtype === 'float32' && bytes.byteOffset % 4 === 0) return new Float32Array(bytes.buffer, bytes.byteOffset, count);
  return decodeToFloat32(dtype, bytes, new Float32Array(count));
}
