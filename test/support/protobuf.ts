/** Protobuf written by hand, for files that no library would write. */

/** A base-128 number. */
export function varint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Buffer.from(bytes);
}

/** A field with a length; `length` may be wrong. */
export function field(number: number, body: Uint8Array | string, length?: number | bigint): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  return Buffer.concat([varint(number * 8 + 2), varint(length ?? bytes.length), bytes]);
}

/** A field with a number. */
export function numeric(number: number, value: number | bigint): Buffer {
  return Buffer.concat([varint(number * 8), varint(value)]);
}

/** ModelProto around a graph's fields. */
export function modelBytes(...graph: Uint8Array[]): Buffer {
  return Buffer.concat([numeric(1, 10), field(8, numeric(2, 21)), field(7, Buffer.concat(graph))]);
}

/** An initialiser of the main graph, float32 unless told. */
export function initializerBytes(name: string | Uint8Array, dims: readonly (number | bigint)[], raw: Uint8Array, type = 1): Buffer {
  return field(5, Buffer.concat([...dims.map((length) => numeric(1, length)), numeric(2, type), field(8, name), field(9, raw)]));
}
