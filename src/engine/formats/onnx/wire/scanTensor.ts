import { byteLength, dtypes, type DType } from '../../../../protocol/dtypes';
import { dtypeOfElementType } from '../../../graph/elementTypes';
import type { ScanReport } from './scanReport';
import type { WireField, WireReader } from './wireReader';

/** Location of a tensor's values. */
export type ScannedStorage =
  /** Raw little-endian bytes in the model file: raw_data, or packed float_data and double_data. */
  | { readonly kind: 'raw'; readonly offset: number; readonly length: number }
  /** Fields that must be decoded: int32_data, int64_data, uint64_data, strings, or floats in several pieces. */
  | { readonly kind: 'typed' }
  /** Another file. The strings are as written and unchecked. */
  | { readonly kind: 'external'; readonly location: string; readonly offset: string; readonly length: string };

/** A TensorProto in the file. */
export interface ScannedTensor {
  readonly name: string;
  /** Undefined if the element type is unknown. */
  readonly dtype: DType | undefined;
  readonly shape: readonly number[];
  readonly storage: ScannedStorage;
  /** The whole TensorProto message. */
  readonly start: number;
  readonly end: number;
  /** Number of bytes that the values take in the file. */
  readonly payload: number;
  /** The reason why the tensor cannot be read, if there is one. */
  readonly problem: string | undefined;
}

const highestRank = 64;

/** Reads everything of a TensorProto except its values. Problems are reported and make the tensor unreadable, but do not fail. */
export function scanTensor(reader: WireReader, message: WireField, report: ScanReport): ScannedTensor {
  reader.requireBytes(message);
  const dims: bigint[] = [];
  const external = new Map<string, string>();
  const payloads: WireField[] = [];
  let name = '';
  let elementType = 0;
  let isExternal = false;
  let raw: WireField | undefined;
  let texts = 0;
  let payload = 0;
  reader.eachField(message.start, message.end, (field) => {
    switch (field.number) {
      case 1:
        dims.push(...reader.int64List(field, highestRank));
        if (dims.length > highestRank) throw reader.malformed(field.tag, `a tensor has more than ${highestRank} axes`);
        return;
      case 2:
        elementType = Number(reader.int64(field));
        return;
      case 6:
        reader.requireBytes(field);
        texts += 1;
        payload += field.end - field.start;
        return;
      case 4:
      case 5:
      case 7:
      case 10:
      case 11:
        payload += field.end - field.start;
        // One entry is enough to detect several.
        if (payloads.length < 2) payloads.push(field);
        return;
      case 8:
        name = report.text(reader, field, 'tensor name');
        return;
      case 9:
        reader.requireBytes(field);
        raw = field;
        payload += field.end - field.start;
        return;
      case 13:
        return externalEntry(reader, field, external, report);
      case 14:
        isExternal = reader.int64(field) === 1n;
        return;
    }
  });
  const dtype = dtypeOfElementType(elementType);
  const common = { name, dtype, start: message.start, end: message.end, payload };
  const bad = (code: string, problem: string): ScannedTensor => {
    report.add(code, 'error', `Tensor '${name}': ${problem}`, message.tag, name);
    return { ...common, shape: [], storage: { kind: 'typed' }, problem };
  };

  const negative = dims.find((length) => length < 0n);
  if (negative !== undefined) return bad('negative-dimension', `an axis has length ${negative}.`);
  const elements = dims.reduce((product, length) => product * length, 1n);
  // More than 2^50 elements cannot be in a file; a zero among the lengths makes the product small, but the others are still absurd.
  if (elements > 2n ** 50n || dims.some((length) => length > 2n ** 50n))
    return bad('overflowing-shape', `the shape [${dims.join(', ')}] is too large.`);
  const shape = dims.map(Number);
  if (dtype === undefined) {
    report.add('unknown-element-type', 'error', `Tensor '${name}' has the unknown element type ${elementType}.`, message.tag, name);
    return { ...common, shape, storage: { kind: 'typed' }, problem: `unknown element type ${elementType}` };
  }
  if (isExternal) {
    const location = external.get('location') ?? '';
    if (dtype === 'string') return { ...bad('external-texts', 'strings cannot be stored as external data.'), shape };
    return {
      ...common,
      shape,
      storage: { kind: 'external', location, offset: external.get('offset') ?? '', length: external.get('length') ?? '' },
      problem: undefined,
    };
  }
  const place = rawPlace(raw, payloads, dtype);
  if (place === undefined) {
    const problem = typedProblem(dtype, shape, { texts, payload, fields: payloads.length });
    if (problem !== undefined) return { ...bad('wrong-size', problem), shape };
    return { ...common, shape, storage: { kind: 'typed' }, problem: undefined };
  }
  const expected = byteLength(dtype, shape);
  if (place.length !== expected)
    return { ...bad('wrong-size', `${dtype}[${shape.join(', ')}] needs ${expected} bytes, but the file has ${place.length}.`), shape };
  return { ...common, shape, storage: { kind: 'raw', ...place }, problem: undefined };
}

/** Bytes that are the unencoded values. */
function rawPlace(
  raw: WireField | undefined,
  payloads: readonly WireField[],
  dtype: DType,
): { readonly offset: number; readonly length: number } | undefined {
  const plain = (field: WireField) => ({ offset: field.start, length: field.end - field.start });
  if (dtype === 'string') return undefined;
  if (raw !== undefined) return plain(raw);
  const only = payloads.length === 1 ? payloads[0] : undefined;
  if (only === undefined || only.wire !== 2) return payloads.length === 0 ? { offset: 0, length: 0 } : undefined;
  const isRaw =
    only.number === 4
      ? dtype === 'float32' || dtype === 'complex64'
      : only.number === 10 && (dtype === 'float64' || dtype === 'complex128');
  return isRaw ? plain(only) : undefined;
}

/** A cheap check of typed fields: every value takes at least one byte. Decoding gives the exact count. */
function typedProblem(
  dtype: DType,
  shape: readonly number[],
  found: { readonly texts: number; readonly payload: number; readonly fields: number },
): string | undefined {
  const elements = shape.reduce((product, length) => product * length, 1);
  if (dtype === 'string') return found.texts === elements ? undefined : `it needs ${elements} strings, but the file has ${found.texts}.`;
  const entries = Math.ceil(elements / dtypes[dtype].blockSize);
  return found.payload < entries ? `it needs ${entries} values, but the file has at most ${found.payload}.` : undefined;
}

function externalEntry(reader: WireReader, field: WireField, into: Map<string, string>, report: ScanReport): void {
  reader.requireBytes(field);
  if (into.size >= 16) return;
  let key = '';
  let value = '';
  reader.eachField(field.start, field.end, (inner) => {
    if (inner.number === 1) key = report.text(reader, inner, 'key of external data');
    else if (inner.number === 2) value = report.text(reader, inner, 'value of external data');
  });
  into.set(key, value);
}
