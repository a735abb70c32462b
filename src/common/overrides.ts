import { isPinnedWidth } from './allocation/types';
import { suggestion } from './nearest';
import { describeAllowed, flagOf, parseParam, type ParamSpec } from './params';

/** Other parameters for the tensors that a glob matches. */
export interface Override {
  readonly glob: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** How an override is read. */
export interface OverrideRules {
  readonly method: { readonly id: string; readonly parameters: readonly ParamSpec[] };
  /** `bits` may also be 16 (left alone) or 0 (pruned): beside a budget. */
  readonly pins: boolean;
  /** What messages call the text: `--override`. */
  readonly subject: string;
}

const form = "as in '*.down_proj.weight=bits:8,groupSize:64'";

/**
 * Reads `GLOB=key:value,key:value`. Keys may be written as in recipes (`groupSize`) or as flags (`group-size`). The glob may hold `=`: the last one counts.
 * Gives the override, or a sentence that says what is wrong.
 */
export function readOverride(text: string, { method, pins, subject }: OverrideRules): Override | string {
  const cut = text.lastIndexOf('=');
  if (cut <= 0 || cut === text.length - 1) return `${subject} must be GLOB=KEY:VALUE,... ${form}, got '${text}'.`;
  const glob = text.slice(0, cut).trim();
  const parameters: Record<string, unknown> = {};
  for (const part of text.slice(cut + 1).split(',')) {
    const [, key, value] = /^\s*([A-Za-z-]+)\s*:\s*(\S+)\s*$/.exec(part) ?? [];
    if (key === undefined || value === undefined) return `${subject} needs KEY:VALUE after the glob, ${form}; got '${part}'.`;
    const spec = method.parameters.find((candidate) => candidate.key === key || flagOf(candidate) === `--${key}`);
    if (!spec) {
      const keys = method.parameters.map((candidate) => candidate.key);
      const known = suggestion(key, keys) || ` Parameters: ${keys.join(', ')}.`;
      return `${subject}: method '${method.id}' has no parameter '${key}'.${known}`;
    }
    if (spec.key in parameters) return `${subject} gives ${spec.key} twice for '${glob}'. Give it once.`;
    const parsed = pins && spec.key === 'bits' && isPinnedWidth(Number(value)) ? Number(value) : parseParam(spec, value);
    if (parsed === undefined) return `${subject}: ${spec.key} must be ${describeAllowed(spec)}, got '${value}'.`;
    parameters[spec.key] = parsed;
  }
  return { glob, parameters };
}

/** Several overrides, separated by semicolons: `*.down_proj.weight=bits:8; lm_head.weight=bits:6`. None for an empty text. */
export function readOverrides(text: string, rules: OverrideRules): readonly Override[] | string {
  const overrides: Override[] = [];
  for (const part of text.split(';').map((each) => each.trim())) {
    if (part === '') continue;
    const override = readOverride(part, rules);
    if (typeof override === 'string') return override;
    overrides.push(override);
  }
  return overrides;
}

/** The same as text. It reads back as it was, unless a glob has a semicolon in it. */
export function overridesText(overrides: readonly Override[]): string {
  return overrides
    .map(({ glob, parameters }) => {
      const values = Object.entries(parameters).map(([key, value]) => `${key}:${String(value)}`);
      return `${glob}=${values.join(',')}`;
    })
    .join('; ');
}
