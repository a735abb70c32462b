import type { LoomweightError } from '../../../../protocol/errors';
import type { FileWindow } from './fileWindow';
import { invalidOnnx } from '../refusals';

/** A field of a protobuf message and its position in the file. `end` is the offset after it. */
export interface WireField {
  readonly number: number;
  /** 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes. */
  readonly wire: number;
  /** Offset of the tag. */
  readonly tag: number;
  /** Offset of the contents, after tag and length. */
  readonly start: number;
  readonly end: number;
}

/** Maximum length of strings: longer names and values are truncated. */
export const longestText = 64 * 1024;

/**
 * Reads protobuf fields from a file without loading it: lengths are checked against the enclosing message, and contents are skipped unless
 * requested. Wire format: https://protobuf.dev/programming-guides/encoding. Invalid data throws `malformed-file` with the byte offset.
 */
export class WireReader {
  private behind = 0;

  constructor(readonly window: FileWindow) {}

  /** Calls `visit` for every field of the message in [start, end), in order. */
  eachField(start: number, end: number, visit: (field: WireField) => void): void {
    for (let offset = start; offset < end;) {
      const field = this.fieldAt(offset, end);
      visit(field);
      offset = field.end;
    }
  }

  /** The field whose tag is at an offset. */
  fieldAt(tag: number, end: number): WireField {
    const key = this.smallNumberAt(tag, end);
    const wire = key % 8;
    const number = Math.floor(key / 8);
    if (number === 0 || number > 0x1fffffff) throw this.malformed(tag, `field number ${number} is not allowed`);
    let start = this.behind;
    let length: number;
    switch (wire) {
      case 0:
        this.smallNumberAt(start, end);
        length = this.behind - start;
        break;
      case 1:
        length = 8;
        break;
      case 2: {
        length = this.smallNumberAt(start, end);
        start = this.behind;
        if (length > end - start) throw this.malformed(tag, `a field declares ${length} bytes, but ${end - start} are left`);
        break;
      }
      case 5:
        length = 4;
        break;
      default:
        throw this.malformed(tag, `wire type ${wire} is not used by ONNX`);
    }
    if (start + length > end) throw this.malformed(tag, `a field of ${length} bytes exceeds the ${end - start} that are left`);
    return { number, wire, tag, start, end: start + length };
  }

  /**
   * An unsigned varint as a number; `behind` is then the offset after it. Exact up to 2^53, which no length or tag in a file exceeds; above
   * that, it is rounded and still too large for any comparison.
   */
  private smallNumberAt(offset: number, end: number): number {
    let value = 0;
    let scale = 1;
    for (let index = 0; index < 10; index += 1) {
      if (offset + index >= end) throw this.malformed(offset, 'the message ends within a number');
      const byte = this.window.byteAt(offset + index);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        this.behind = offset + index + 1;
        return value;
      }
      scale *= 128;
    }
    throw this.malformed(offset, 'a number has more than ten bytes');
  }

  /** An unsigned varint of at most ten bytes, exact. */
  private varintAt(offset: number, end: number): bigint {
    const small = this.smallNumberAt(offset, end);
    if (small <= Number.MAX_SAFE_INTEGER) return BigInt(small);
    let value = 0n;
    for (let index = offset; index < this.behind; index += 1)
      value |= BigInt(this.window.byteAt(index) & 0x7f) << BigInt(7 * (index - offset));
    return BigInt.asUintN(64, value);
  }

  /** Value of a varint field as a signed 64-bit number. */
  int64(field: WireField): bigint {
    if (field.wire !== 0) throw this.malformed(field.tag, `field ${field.number} should be a number`);
    return BigInt.asIntN(64, this.varintAt(field.start, field.end));
  }

  /** Values of a repeated int64 field: packed, or one of several fields. At most `limit` of them. */
  int64List(field: WireField, limit: number): bigint[] {
    if (field.wire === 0) return [this.int64(field)];
    this.requireBytes(field);
    const values: bigint[] = [];
    for (let offset = field.start; offset < field.end;) {
      if (values.length >= limit) throw this.malformed(offset, `a list has more than ${limit} numbers`);
      values.push(BigInt.asIntN(64, this.varintAt(offset, field.end)));
      offset = this.behind;
    }
    return values;
  }

  /** A string; `valid` tells whether it was UTF-8, `whole` whether it was short enough to be read completely. */
  text(field: WireField): { readonly value: string; readonly valid: boolean; readonly whole: boolean } {
    this.requireBytes(field);
    const length = field.end - field.start;
    const bytes = this.window.bytesAt(field.start, Math.min(length, longestText));
    const value = bytes.toString('utf8');
    // Decoding replaces invalid UTF-8, so that encoding gives different bytes. A truncated string may end inside a character.
    const whole = length <= longestText;
    return { value, valid: !whole || Buffer.from(value, 'utf8').equals(bytes), whole };
  }

  /** Throws unless the field is length-delimited: messages, strings, packed lists. */
  requireBytes(field: WireField): void {
    if (field.wire !== 2) throw this.malformed(field.tag, `field ${field.number} should have a length`);
  }

  /** The error for a file that is not a valid protobuf message. */
  malformed(offset: number, what: string): LoomweightError {
    return invalidOnnx(this.window.path, what, { offset });
  }
}
