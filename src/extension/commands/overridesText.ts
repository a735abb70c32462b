import type { TensorOverride } from '../../protocol/jobs';

/** Overrides as they are typed: `*.down_proj.weight=bits:8,groupSize:64; lm_head.weight=bits:6`. Undefined if the text is not of this form. */
export function parseOverrides(text: string): readonly TensorOverride[] | undefined {
  const parts = text
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const overrides = parts.map(parseOne);
  return overrides.every((override) => override !== undefined) ? overrides : undefined;
}

/** The same as text. */
export function overridesText(overrides: readonly TensorOverride[]): string {
  return overrides
    .map(({ glob, parameters }) => {
      const values = Object.entries(parameters).map(([key, value]) => `${key}:${String(value)}`);
      return `${glob}=${values.join(',')}`;
    })
    .join('; ');
}

function parseOne(text: string): TensorOverride | undefined {
  // Names of tensors may contain the sign; parameters do not.
  const at = text.lastIndexOf('=');
  const glob = text.slice(0, at).trim();
  if (at < 1 || glob === '') return undefined;
  const pairs = text
    .slice(at + 1)
    .split(',')
    .map((pair) => /^\s*([A-Za-z]\w*)\s*:\s*(\S+)\s*$/.exec(pair));
  if (!pairs.every((pair) => pair !== null)) return undefined;
  return { glob, parameters: Object.fromEntries(pairs.map(([, key = '', value = '']) => [key, valueOf(value)])) };
}

function valueOf(text: string): string | number | boolean {
  if (text === 'true' || text === 'yes') return true;
  if (text === 'false' || text === 'no') return false;
  const number = Number(text);
  return Number.isFinite(number) ? number : text;
}
