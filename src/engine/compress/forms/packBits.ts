/** Widths that fill a byte evenly. Any width from 1 to 8 is a sum of them. */
export type PlaneWidth = 1 | 2 | 4 | 8;

/** A plane: some bits of every code. */
export interface Plane {
  readonly width: PlaneWidth;
  /** Place of the plane's lowest bit in the code. */
  readonly shift: number;
}

/** Cuts a width into planes, the widest at the bottom: 7 bits are 4 + 2 + 1. */
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

/** The narrowest of 1, 2, 4 and 8 bits that holds a width. */
export function containerOf(bits: number): PlaneWidth {
  return bits <= 1 ? 1 : bits <= 2 ? 2 : bits <= 4 ? 4 : 8;
}

/** Packs one plane of codes, lowest bits of a byte first; the last byte is filled up with zeros. */
export function packPlane(codes: Uint8Array, { width, shift }: Plane): Uint8Array {
  const perByte = 8 / width;
  const mask = 2 ** width - 1;
  const whole = Math.floor(codes.length / perByte);
  const packed = new Uint8Array(Math.ceil(codes.length / perByte));
  for (let byte = 0, code = 0; byte < whole; byte += 1) {
    let value = 0;
    for (let place = 0; place < 8; place += width, code += 1) value |= (((codes[code] as number) >> shift) & mask) << place;
    packed[byte] = value;
  }
  for (let code = whole * perByte; code < codes.length; code += 1)
    packed[whole] = (packed[whole] as number) | ((((codes[code] as number) >> shift) & mask) << ((code % perByte) * width));
  return packed;
}

/** Adds a packed plane to codes: the inverse of `packPlane` on a buffer of zeros. */
export function unpackPlane(packed: Uint8Array, { width, shift }: Plane, codes: Uint8Array): void {
  const mask = 2 ** width - 1;
  for (let code = 0, index = 0; code < codes.length; index += 1) {
    const byte = packed[index] as number;
    for (let place = 0; place < 8 && code < codes.length; place += width, code += 1)
      codes[code] = (codes[code] as number) | (((byte >> place) & mask) << shift);
  }
}

/** The codes of every byte of a plane, for a graph that unpacks by look-up: 256 rows of 8 / width codes, already in place. */
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
