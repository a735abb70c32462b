/**
 * The safetensors header: 8 bytes little-endian length N, then N bytes of JSON, then the data.
 * Format: https://github.com/huggingface/safetensors (README, "Format"; limits in safetensors/src/tensor.rs), release 0.8.
 */
import { dtypes, type DType } from '../../../protocol/dtypes';
import type { Diagnostic } from '../../../protocol/model';
import type { TensorEntry } from '../container';
import { malformedFile, quoteName, safeProduct, unsupportedContent } from '../malformed';
import { dtypeOfSafetensors } from './dtypeNames';
import { JsonScanner } from './jsonScanner';

/** Maximum length of a header, as in the format's own library. */
export const largestHeader = 100_000_000;

/** Maximum number of axes of a tensor; far above any real one, small enough that a hostile header cannot demand memory. */
const mostAxes = 64;

/** Contents of a header. */
export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly diagnostics: readonly Diagnostic[];
}

/** Reads the length field. Errors: `malformed-file`. */
export function headerLength(first8: Uint8Array, file: string, fileSize: number): number {
  const view = new DataView(first8.buffer, first8.byteOffset, 8);
  const length = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
  if (length > largestHeader)
    throw malformedFile(
      file,
      0,
      'header-too-long',
      `A safetensors header has at most ${largestHeader} bytes, but this one declares ${length}`,
    );
  if (length < 2)
    throw malformedFile(file, 0, 'header-too-short', `A safetensors header has at least 2 bytes, but this one declares ${length}`);
  if (8 + length > fileSize)
    throw malformedFile(file, 0, 'truncated', `The header declares ${length} bytes, but only ${fileSize - 8} follow the length field`);
  return length;
}

/**
 * Parses a header and checks it against the file: known types, sizes that match the byte ranges, ranges that cover the data exactly once. A
 * tensor of an unknown type is omitted with a diagnostic; its range still counts. Errors: `malformed-file`.
 */
export function parseHeader(json: Uint8Array, file: string, fileSize: number): SafetensorsHeader {
  const scanner = new JsonScanner(json, file, 8);
  const dataStart = 8 + json.length;
  const state: HeaderState = {
    file,
    dataStart,
    tensors: new Map(),
    metadata: {},
    diagnostics: [],
    ranges: { begins: [], ends: [], keyOffsets: [], names: [] },
    unknown: new Set(),
  };
  let sawMetadata = false;
  scanner.object((key, keyOffset) => {
    if (key !== '__metadata__') return readTensor(scanner, state, key, keyOffset);
    if (sawMetadata) throw scanner.fail('"__metadata__" appears twice in the header', 'duplicate-name', keyOffset);
    sawMetadata = true;
    // The format's own library reads null as no metadata.
    if (scanner.takeNull()) return;
    scanner.object((name, offset) => {
      if (Object.hasOwn(state.metadata, name)) throw scanner.fail(`Metadata ${quoteName(name)} appears twice`, 'duplicate-name', offset);
      // defineProperty, so that "__proto__" is an ordinary key.
      Object.defineProperty(state.metadata, name, { value: scanner.string(), enumerable: true });
    });
  });
  if (scanner.peek() !== -1) throw scanner.fail('Unexpected data follows the JSON header');
  checkCoverage(state, fileSize - dataStart);
  return state;
}

interface HeaderState {
  readonly file: string;
  readonly dataStart: number;
  readonly tensors: Map<string, TensorEntry>;
  readonly metadata: Record<string, string>;
  readonly diagnostics: Diagnostic[];
  /**
   * Start and end of every tensor relative to the data, the position of its key and its name: columns instead of a million small objects.
   */
  readonly ranges: { readonly begins: number[]; readonly ends: number[]; readonly keyOffsets: number[]; readonly names: string[] };
  readonly unknown: Set<string>;
}

function readTensor(scanner: JsonScanner, state: HeaderState, name: string, keyOffset: number): void {
  if (state.tensors.has(name) || state.unknown.has(name))
    throw scanner.fail(`Tensor ${quoteName(name)} appears twice in the header`, 'duplicate-name', keyOffset);
  let dtypeName: string | undefined;
  let shape: number[] | undefined;
  let range: number[] | undefined;
  const once = (value: unknown, key: string, offset: number) => {
    if (value !== undefined) throw scanner.fail(`${quoteName(key)} of tensor ${quoteName(name)} appears twice`, 'duplicate-name', offset);
  };
  scanner.object((key, offset) => {
    if (key === 'dtype') {
      once(dtypeName, key, offset);
      dtypeName = scanner.string();
    } else if (key === 'shape') {
      once(shape, key, offset);
      shape = scanner.sizes(() => `The shape of ${quoteName(name)}`, mostAxes);
    } else if (key === 'data_offsets') {
      once(range, key, offset);
      range = scanner.sizes(() => `The offsets of ${quoteName(name)}`, 2);
    } else throw scanner.fail(`Tensor ${quoteName(name)} has an unknown field ${quoteName(key)}`, 'invalid-header', offset);
  });
  const missing = dtypeName === undefined ? 'dtype' : shape === undefined ? 'shape' : range === undefined ? 'data_offsets' : undefined;
  if (dtypeName === undefined || shape === undefined || range === undefined)
    throw scanner.fail(`Tensor ${quoteName(name)} has no "${missing}"`, 'invalid-header', keyOffset);
  const [begin, end] = range;
  if (begin === undefined || end === undefined || end < begin)
    throw scanner.fail(`The offsets of tensor ${quoteName(name)} must be a start and an end not before it`, 'invalid-offsets', keyOffset);
  state.ranges.begins.push(begin);
  state.ranges.ends.push(end);
  state.ranges.keyOffsets.push(keyOffset);
  state.ranges.names.push(name);
  const dtype = Object.hasOwn(dtypeOfSafetensors, dtypeName) ? dtypeOfSafetensors[dtypeName] : undefined;
  if (dtype === undefined) return noteUnknownType(state, name, dtypeName, keyOffset);
  const bytes = tensorBytes(dtype, shape);
  if (bytes !== end - begin)
    throw scanner.fail(
      `Tensor ${quoteName(name)} of type ${dtypeName} and shape [${shape.join(', ')}] needs ${bytes ?? 'more than 2^53'} bytes, but its offsets span ${end - begin}`,
      'size-mismatch',
      keyOffset,
    );
  state.tensors.set(name, { name, dtype, shape, bytes, location: { file: state.file, offset: state.dataStart + begin, length: bytes } });
}

/** Exact byte count, or undefined if it overflows or elements do not fill whole bytes. */
function tensorBytes(dtype: DType, shape: readonly number[]): number | undefined {
  const count = safeProduct(shape);
  const { blockSize, blockBytes } = dtypes[dtype];
  if (count === undefined || count % blockSize !== 0) return undefined;
  return safeProduct([count / blockSize, blockBytes]);
}

function noteUnknownType(state: HeaderState, name: string, dtypeName: string, offset: number): void {
  state.unknown.add(name);
  const message = `Tensor ${quoteName(name)} has the unknown type ${quoteName(dtypeName)} and is not listed. A newer Loomweight may support it.`;
  state.diagnostics.push({ severity: 'warning', code: 'unknown-dtype', message, file: state.file, offset, subject: name });
}

/** Ranges must cover the data from first to last byte, each byte once. */
function checkCoverage({ ranges, file, dataStart, tensors, unknown }: HeaderState, dataBytes: number): void {
  const { begins, ends, keyOffsets, names } = ranges;
  let order: Uint32Array | undefined;
  if (begins.some((begin, i) => i > 0 && begin < (ends[i - 1] as number)))
    order = Uint32Array.from(begins.keys()).sort(
      (a, b) => (begins[a] as number) - (begins[b] as number) || (ends[a] as number) - (ends[b] as number),
    );
  let covered = 0;
  for (let i = 0; i < begins.length; i += 1) {
    const index = order?.[i] ?? i;
    const begin = begins[index] as number;
    const end = ends[index] as number;
    const keyOffset = keyOffsets[index] as number;
    const name = names[index] as string;
    if (begin < covered)
      throw malformedFile(
        file,
        keyOffset,
        'overlapping-offsets',
        `Tensor ${quoteName(name)} starts at data byte ${begin}, inside the previous tensor, which ends at ${covered}`,
      );
    if (begin > covered)
      throw malformedFile(
        file,
        keyOffset,
        'hole-in-data',
        `No tensor covers the data bytes ${covered} to ${begin}, before tensor ${quoteName(name)}`,
      );
    if (end > dataBytes)
      throw malformedFile(
        file,
        keyOffset,
        'truncated',
        `Tensor ${quoteName(name)} ends at data byte ${end}, but the file has only ${dataBytes}`,
      );
    covered = end;
  }
  if (covered !== dataBytes)
    throw malformedFile(
      file,
      dataStart + covered,
      'trailing-data',
      `${dataBytes - covered} bytes after the last tensor belong to no tensor`,
    );
  if (tensors.size === 0 && unknown.size > 0)
    throw unsupportedContent(file, 'unknown-dtype', `No tensor of ${file} has a type that Loomweight supports.`);
}
