/** Widths that divide a byte evenly. Any width from 1 to 8 is a sum of them. */
export type PlaneWidth = 1 | 2 | 4 | 8;

/** A plane: some of the bits of every code. */
export interface Plane {
  readonly width: PlaneWidth;
  /** Position of the plane's lowest bit in the code. */
  readonly shift: number;
}

/** Splits a width into planes, the widest in the lowest bits: 7 bits are 4 + 2 + 1. */
export function planesOf(bits: number): readonly Plane[] {
  const planes: Plane[] = [];
  let shift = 0;
  for (const width of [8, 4, 2, 1] as const)
    if (bits - shift >= width) {
      planes.push({ width, shift });
      shift += width;
    }
  return planes;
}

/** The smallest of 1, 2, 4 and 8 bits that fits a width. */
export function containerOf(bits: number): PlaneWidth {
  return bits <= 1 ? 1 : bits <= 2 ? 2 : bits <= 4 ? 4 : 8;
}

/** Packs one plane of codes, lowest bits of a byte first; the last byte is padded with zeros. */
export function packPlane(codes: Uint8Array, { width, shift }: Plane): Uint8Array {
  const perByte = 8 / width;
  const mask = 2 ** width - 1;
  const packed = new Uint8Array(Math.ceil(codes.length / perByte));
  const words = codes.byteOffset % 4 === 0 ? packWords(codes, width, shift, packed) : 0;
  for (let code = words * 4; code < codes.length; code += 1) {
    const byte = Math.floor(code / perByte);
    packed[byte] = (packed[byte] as number) | ((((codes[code] as number) >> shift) & mask) << ((code % perByte) * width));
  }
  return packed;
}

/**
 * Packs whole bytes from four codes at a time; returns the number of 32-bit words consumed. Every platform of the runtime is little-endian.
 */
function packWords(codes: Uint8Array, width: PlaneWidth, shift: number, packed: Uint8Array): number {
  const words = new Uint32Array(codes.buffer, codes.byteOffset, Math.floor(codes.length / 4));
  if (width === 8) {
    packed.set(codes.subarray(0, words.length * 4));
    return words.length;
  }
  if (width === 4) {
    const pairs = new Uint16Array(packed.buffer, 0, words.length);
    for (let index = 0; index < words.length; index += 1) {
      const low = ((words[index] as number) >>> shift) & 0x0f0f0f0f;
      const joined = low | (low >>> 4);
      pairs[index] = (joined & 0xff) | ((joined >>> 8) & 0xff00);
    }
    return words.length;
  }
  if (width === 2) {
    for (let index = 0; index < words.length; index += 1) {
      const low = ((words[index] as number) >>> shift) & 0x03030303;
      packed[index] = low | (low >>> 6) | (low >>> 12) | (low >>> 18);
    }
    return words.length;
  }
  const even = words.length - (words.length % 2);
  const nibble = (word: number) => {
    const low = (word >>> shift) & 0x01010101;
    return (low | (low >>> 7) | (low >>> 14) | (low >>> 21)) & 15;
  };
  for (let index = 0; index < even; index += 2)
    packed[index >> 1] = nibble(words[index] as number) | (nibble(words[index + 1] as number) << 4);
  return even;
}

/** Adds a packed plane to codes: on a buffer of zeros, the inverse of `packPlane`. */
export function unpackPlane(packed: Uint8Array, plane: Plane, codes: Uint8Array): void {
  const { width, shift } = plane;
  const perByte = 8 / width;
  const mask = 2 ** width - 1;
  const whole = codes.byteOffset % 4 === 0 ? unpackBytes(packed, plane, codes) : 0;
  for (let code = whole * perByte, index = whole; code < codes.length; index += 1) {
    const byte = packed[index] as number;
    for (let place = 0; place < 8 && code < codes.length; place += width, code += 1)
      codes[code] = (codes[code] as number) | (((byte >> place) & mask) << shift);
  }
}

/** Unpacks whole bytes by table lookup, all codes of a byte at a time; returns the number of bytes consumed. */
function unpackBytes(packed: Uint8Array, plane: Plane, codes: Uint8Array): number {
  if (plane.width !== 4 && plane.width !== 2) return 0;
  const perByte = 8 / plane.width;
  const bytes = Math.floor(codes.length / perByte);
  const buffer = codes.buffer as ArrayBuffer;
  const Word = plane.width === 4 ? Uint16Array : Uint32Array;
  const table = new Word(256);
  for (let byte = 0; byte < 256; byte += 1)
    for (let place = 0; place < perByte; place += 1)
      table[byte] = (table[byte] as number) | ((((byte >> (place * plane.width)) & (2 ** plane.width - 1)) << plane.shift) << (place * 8));
  const words = new Word(buffer, codes.byteOffset, bytes);
  for (let index = 0; index < bytes; index += 1) words[index] = (words[index] as number) | (table[packed[index] as number] as number);
  return bytes;
}

/**
 * The codes of every byte of a plane, for a graph that unpacks by table lookup: 256 rows of 8 / width codes, already shifted into position.
 */
export function planeTable(plane: Plane): Uint8Array {
  const perByte = 8 / plane.width;
  const table = new Uint8Array(256 * perByte);
  unpackPlane(
    Uint8Array.from({ length: 256 }, (_, byte) => byte),
    plane,
    table,
  );
  return table;
}
