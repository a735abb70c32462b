import { byteLength, elementCount, type DType } from '../../../../protocol/dtypes';
import { LoomweightError } from '../../../../protocol/errors';
import { bytesOfStrings, int32Width } from '../tensorData';

/**
 * Values of a TensorProto's typed fields as raw little-endian bytes, decoded directly into a buffer of the size that the shape requires,
 * without an intermediate list of numbers, so that a large tensor takes no more memory than its size. `message` is the whole TensorProto;
 * `file` and `offset` give its position, for errors.
 */
export function decodeTypedFields(
  message: Uint8Array,
  tensor: {
    readonly name: string;
    readonly dtype: DType;
    readonly shape: readonly number[];
    readonly file: string;
    readonly offset: number;
  },
): Uint8Array {
  const cursor = new Cursor(message, tensor);
  if (tensor.dtype === 'string') return bytesOfStrings(cursor.texts(elementCount(tensor.shape)));
  const output = new Uint8Array(byteLength(tensor.dtype, tensor.shape));
  const view = new DataView(output.buffer);
  let written = 0;
  const room = (bytes: number): number => {
    if (written + bytes > output.byteLength) throw cursor.malformed(`more values than its shape [${tensor.shape.join(', ')}] allows`);
    written += bytes;
    return written - bytes;
  };
  cursor.eachField((field, wire, end) => {
    const packed = wire === 2;
    const width = int32Width(tensor.dtype);
    if (field === 4 || field === 10) {
      // Fixed-size values are raw bytes already, packed or one by one.
      const bytes = end - cursor.at;
      output.set(message.subarray(cursor.at, end), room(bytes));
    } else if (field === 5 && width !== undefined) {
      const sixBit = tensor.dtype === 'float6_e2m3' || tensor.dtype === 'float6_e3m2';
      if (sixBit)
        throw new LoomweightError('unsupported', `Tensor '${tensor.name}': 6-bit values are supported as raw data only.`, {
          tensor: tensor.name,
        });
      do {
        const value = cursor.varint32(end);
        if (width === 1) view.setUint8(room(1), value & 0xff);
        else if (width === 2) view.setUint16(room(2), value & 0xffff, true);
        else view.setInt32(room(4), value, true);
      } while (packed && cursor.at < end);
    } else if (field === 7 || field === 11) {
      do {
        const value = cursor.varint64(end);
        if (tensor.dtype === 'uint32') view.setUint32(room(4), Number(BigInt.asUintN(32, value)), true);
        else view.setBigUint64(room(8), BigInt.asUintN(64, value), true);
      } while (packed && cursor.at < end);
    }
  });
  if (written !== output.byteLength)
    throw cursor.malformed(`${written} bytes of values, but its shape [${tensor.shape.join(', ')}] needs ${output.byteLength}`);
  return output;
}

class Cursor {
  at = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly where: { readonly name: string; readonly file: string; readonly offset: number },
  ) {}

  /** Visits data fields (4 to 7, 10, 11); an empty packed list is not visited. */
  eachField(visit: (field: number, wire: number, end: number) => void): void {
    this.at = 0;
    while (this.at < this.bytes.length) {
      const key = this.varint32(this.bytes.length) >>> 0;
      const wire = key & 7;
      let end: number;
      if (wire === 2) {
        const length = this.varint32(this.bytes.length) >>> 0;
        end = this.at + length;
      } else if (wire === 0) {
        const start = this.at;
        this.varint64(this.bytes.length);
        end = this.at;
        this.at = start;
      } else end = this.at + (wire === 1 ? 8 : 4);
      if (end > this.bytes.length) throw this.malformed('a field that does not fit');
      const field = key >>> 3;
      if (end > this.at && (field === 4 || field === 5 || field === 6 || field === 7 || field === 10 || field === 11))
        visit(field, wire, end);
      this.at = end;
    }
  }

  texts(count: number): Uint8Array[] {
    const texts: Uint8Array[] = [];
    this.at = 0;
    while (this.at < this.bytes.length) {
      const key = this.varint32(this.bytes.length) >>> 0;
      if ((key & 7) === 2) {
        const length = this.varint32(this.bytes.length) >>> 0;
        if (key >>> 3 === 6) texts.push(this.bytes.subarray(this.at, this.at + length));
        this.at += length;
      } else if ((key & 7) === 0) this.varint64(this.bytes.length);
      else this.at += (key & 7) === 1 ? 8 : 4;
    }
    if (texts.length !== count) throw this.malformed(`${texts.length} strings, but its shape has ${count}`);
    return texts;
  }

  /** Low 32 bits of a varint, signed. */
  varint32(end: number): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.at >= end) throw this.malformed('a truncated number');
      const byte = this.bytes[this.at] as number;
      this.at += 1;
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw this.malformed('a number of more than ten bytes');
  }

  varint64(end: number): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (this.at >= end) throw this.malformed('a truncated number');
      const byte = this.bytes[this.at] as number;
      this.at += 1;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw this.malformed('a number of more than ten bytes');
  }

  malformed(what: string): LoomweightError {
    const { name, file, offset } = this.where;
    return new LoomweightError('malformed-file', `Tensor '${name}' has ${what}, at byte ${offset + this.at}: ${file}.`, {
      tensor: name,
      path: file,
      offset: offset + this.at,
    });
  }
}
