/**
 * Colour tables for heatmaps: 256 little-endian RGBA entries, for `Uint32Array` views of ImageData.
 * Level 0 marks cells without a finite value; levels 1 to 255 run from low to high.
 */

type Colour = readonly [red: number, green: number, blue: number];

// Blue and orange stay distinguishable under the common forms of colour blindness; the middle follows the theme.
const negativeEnd: Colour = [33, 113, 222];
const positiveEnd: Colour = [232, 119, 22];
const notFinite: Colour = [214, 51, 160];

function pack([red, green, blue]: Colour): number {
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

function mix(from: Colour, to: Colour, ratio: number): Colour {
  const channel = (index: 0 | 1 | 2) => Math.round(from[index] + (to[index] - from[index]) * ratio);
  return [channel(0), channel(1), channel(2)];
}

/**
 * The colour table for values from `low` to `high`. If the range spans zero, zero gets the middle colour and both sides
 * share one scale, so that equal magnitudes look equally strong; otherwise the scale runs upwards from the middle colour.
 */
export function heatmapColours(low: number, high: number, dark: boolean): Uint32Array {
  const middle: Colour = dark ? [24, 24, 28] : [250, 250, 250];
  const table = new Uint32Array(256);
  table[0] = pack(notFinite);
  const reach = Math.max(Math.abs(low), Math.abs(high));
  for (let level = 1; level < 256; level += 1) {
    const value = levelValue(level, low, high);
    const strength = reach === 0 ? 0 : Math.min(1, Math.abs(value) / reach);
    // The square root lifts small values, which dominate in a weight matrix.
    table[level] = pack(mix(middle, value < 0 ? negativeEnd : positiveEnd, Math.sqrt(strength)));
  }
  return table;
}

/** The value that a level from 1 to 255 represents. */
export function levelValue(level: number, low: number, high: number): number {
  return low + ((level - 1) / 254) * (high - low);
}

/** Fills RGBA pixels from levels. Both arrays have one entry per cell. */
export function paintLevels(levels: Uint8Array, table: Uint32Array, pixels: Uint32Array): void {
  for (let index = 0; index < levels.length; index += 1) pixels[index] = table[levels[index] as number] as number;
}
