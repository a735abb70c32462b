/** Arrays from which a bit plane can be extracted. */
export type Levels = Uint8Array | Uint16Array;

/** Bytes for `count` levels of `bits` bits: whole bytes of every plane, then the last `count % 8` levels bit by bit. */
export function planeBytes(count: number, bits: number): number {
  return Math.floor(count / 8) * bits + Math.ceil(((count % 8) * bits) / 8);
}

/**
 * Packs levels as bit planes: plane k (starting at byte k * floor(count / 8)) contains bit k of all levels, level i in bit i % 8 of byte i
 * / 8. The levels that do not fill a byte of a plane follow as `bits` bits each, lowest first, so that less than a byte is lost in total.
 * `target` must be zero from `offset` on. Returns the position after the packed bytes.
 */
export function packPlanes(levels: Levels, count: number, bits: number, target: Uint8Array, offset: number): number {
  const whole = Math.floor(count / 8);
  for (let low = 0; low < bits; low += 8) packByteOfLevels(levels, whole, low, Math.min(8, bits - low), target, offset + low * whole);
  let position = (offset + whole * bits) * 8;
  for (let index = whole * 8; index < count; index += 1)
    for (let bit = 0; bit < bits; bit += 1, position += 1)
      if (((levels[index] as number) >> bit) & 1) target[position >>> 3] = (target[position >>> 3] as number) | (1 << (position & 7));
  return offset + planeBytes(count, bits);
}

/**
 * The inverse of `packPlanes`: fills the first `count` levels and returns the position after them. With `planes` below `bits`, only the
 * highest planes are read and the lower bits are 0: a coarser tensor from fewer bytes.
 */
export function unpackPlanes(source: Uint8Array, offset: number, count: number, bits: number, levels: Levels, planes = bits): number {
  const whole = Math.floor(count / 8);
  levels.fill(0, 0, count);
  const lowest = bits - planes;
  for (let low = 0; low < bits; low += 8) {
    const width = Math.min(8, bits - low);
    const mask = low + width <= lowest ? 0 : low >= lowest ? 255 : (255 << (lowest - low)) & 255;
    if (mask !== 0) unpackByteOfLevels(source, offset + low * whole, whole, low, width, mask, levels);
  }
  let position = (offset + whole * bits) * 8;
  for (let index = whole * 8; index < count; index += 1)
    for (let bit = 0; bit < bits; bit += 1, position += 1)
      if (bit >= lowest) levels[index] = (levels[index] as number) | ((((source[position >>> 3] as number) >> (position & 7)) & 1) << bit);
  return offset + planeBytes(count, bits);
}

/** Eight levels at a time: transposes an 8 x 8 bit matrix in two words, with row 7 at the top. */
function packByteOfLevels(levels: Levels, whole: number, shift: number, width: number, target: Uint8Array, offset: number): void {
  for (let block = 0, index = 0; block < whole; block += 1, index += 8) {
    let high =
      ((((levels[index + 7] as number) >>> shift) & 255) << 24) |
      ((((levels[index + 6] as number) >>> shift) & 255) << 16) |
      ((((levels[index + 5] as number) >>> shift) & 255) << 8) |
      (((levels[index + 4] as number) >>> shift) & 255);
    let low =
      ((((levels[index + 3] as number) >>> shift) & 255) << 24) |
      ((((levels[index + 2] as number) >>> shift) & 255) << 16) |
      ((((levels[index + 1] as number) >>> shift) & 255) << 8) |
      (((levels[index] as number) >>> shift) & 255);
    let swap = (high ^ (high >>> 7)) & 0x00aa00aa;
    high ^= swap ^ (swap << 7);
    swap = (low ^ (low >>> 7)) & 0x00aa00aa;
    low ^= swap ^ (swap << 7);
    swap = (high ^ (high >>> 14)) & 0x0000cccc;
    high ^= swap ^ (swap << 14);
    swap = (low ^ (low >>> 14)) & 0x0000cccc;
    low ^= swap ^ (swap << 14);
    swap = (high & 0xf0f0f0f0) | ((low >>> 4) & 0x0f0f0f0f);
    low = ((high << 4) & 0xf0f0f0f0) | (low & 0x0f0f0f0f);
    high = swap;
    let place = offset + block;
    for (let plane = 0; plane < width; plane += 1, place += whole) target[place] = ((plane < 4 ? low : high) >>> ((plane & 3) * 8)) & 255;
  }
}

function unpackByteOfLevels(
  source: Uint8Array,
  offset: number,
  whole: number,
  shift: number,
  width: number,
  mask: number,
  levels: Levels,
): void {
  for (let block = 0, index = 0; block < whole; block += 1, index += 8) {
    let low = 0;
    let high = 0;
    let place = offset + block;
    for (let plane = 0; plane < width; plane += 1, place += whole) {
      const byte = (source[place] as number) << ((plane & 3) * 8);
      if (plane < 4) low |= byte;
      else high |= byte;
    }
    let swap = (high ^ (high >>> 7)) & 0x00aa00aa;
    high ^= swap ^ (swap << 7);
    swap = (low ^ (low >>> 7)) & 0x00aa00aa;
    low ^= swap ^ (swap << 7);
    swap = (high ^ (high >>> 14)) & 0x0000cccc;
    high ^= swap ^ (swap << 14);
    swap = (low ^ (low >>> 14)) & 0x0000cccc;
    low ^= swap ^ (swap << 14);
    swap = (high & 0xf0f0f0f0) | ((low >>> 4) & 0x0f0f0f0f);
    low = ((high << 4) & 0xf0f0f0f0) | (low & 0x0f0f0f0f);
    high = swap;
    for (let row = 0; row < 8; row += 1) {
      const byte = ((row < 4 ? low : high) >>> ((row & 3) * 8)) & mask;
      levels[index + row] = (levels[index + row] as number) | (byte << shift);
    }
  }
}
