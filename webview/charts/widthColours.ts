import type { ThemeColours } from '../host/theme';

type Channels = readonly [red: number, green: number, blue: number];

/**
 * The colour of a width: few bits are yellow, medium widths green, many bits blue, using the theme's chart colours. Pruned weights take the
 * line colour, and weights left at 16 bits take purple. Yellow and blue stay distinguishable under the common forms of colour blindness.
 */
export function widthColour(bits: number, theme: ThemeColours): string {
  if (bits <= 0) return theme.line;
  if (bits > 8) return theme.fourth;
  const place = (Math.max(1, bits) - 1) / 7;
  return place < 0.5 ? mixed(theme.second, theme.third, place * 2) : mixed(theme.third, theme.accent, place * 2 - 1);
}

/** Black or white, whichever is more legible on a colour. */
export function inkOn(colour: string): string {
  const [red, green, blue] = channels(colour);
  return 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? '#000000' : '#ffffff';
}

function mixed(from: string, to: string, ratio: number): string {
  const [a, b] = [channels(from), channels(to)];
  const channel = (index: 0 | 1 | 2) => Math.round(a[index] + (b[index] - a[index]) * ratio);
  return `rgb(${channel(0)}, ${channel(1)}, ${channel(2)})`;
}

/** Parses a theme colour into red, green and blue: `#rgb`, `#rrggbb`, `#rrggbbaa`, `rgb()` and `rgba()`. Anything else gives grey. */
export function channels(colour: string): Channels {
  const hex = /^#([0-9a-f]{3,8})$/i.exec(colour)?.[1];
  if (hex !== undefined) {
    const long = hex.length < 6 ? [...hex].map((digit) => digit + digit).join('') : hex;
    return [0, 2, 4].map((start) => parseInt(long.slice(start, start + 2), 16)) as unknown as Channels;
  }
  const numbers =
    /^rgba?\(([^)]*)\)$/i
      .exec(colour)?.[1]
      ?.split(/[\s,/]+/)
      .map(Number) ?? [];
  const [red = 128, green = 128, blue = 128] = numbers;
  return [red, green, blue];
}
