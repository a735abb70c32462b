import type { ThemeColours } from '../host/theme';

/** Colour and font of axis labels. */
export function axisText(theme: ThemeColours): {
  readonly color: string;
  readonly font: { readonly family: string; readonly size: number };
} {
  return { color: theme.muted, font: { family: getComputedStyle(document.body).fontFamily, size: 11 } };
}
