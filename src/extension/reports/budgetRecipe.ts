import type { CompressSpec } from '../../protocol/jobs';
import type { BudgetChoice } from '../../protocol/panels/bitAllocation';
import { jsonText } from '../../common/shown';
import { modelName } from '../../common/modelName';
import { pathInRecipe } from './pathInRecipe';

/** The compression of another one with its budget and pins replaced. Pins become overrides after those that were there: the last match counts. */
export function budgetSpec(spec: CompressSpec, { budget, pins }: BudgetChoice, out: string): CompressSpec {
  const pinned = Object.entries(pins).map(([tensor, bits]) => ({ glob: exactGlob(tensor), parameters: { bits } }));
  const overrides = [...(spec.overrides ?? []), ...pinned];
  const { overrides: _overrides, ...rest } = spec;
  return { ...rest, budget: Number(budget.toFixed(4)), ...(overrides.length > 0 && { overrides }), out };
}

/** A glob that matches a name: signs with a meaning in globs become `?`, any one character. */
function exactGlob(name: string): string {
  return name.replace(/[*?{},]/g, '?');
}

/** A recipe with one step that runs a job's specification. Paths are relative to the recipe's file. */
export function budgetRecipe(spec: CompressSpec, file: string): string {
  const path = (target: string): string => jsonText(pathInRecipe(file, target));
  const field = (key: string, value: unknown) => (value === undefined ? [] : [`    ${key}: ${jsonText(value)}`]);
  const overrides = (spec.overrides ?? []).flatMap(({ glob, parameters }) => [
    `      - glob: ${jsonText(glob)}`,
    `        parameters: ${jsonText(parameters)}`,
  ]);
  return `${[
    '# Made in the Bit allocation panel. Bits per weight include scales and zero points; overrides are the pinned widths.',
    `name: ${jsonText(`${modelName(spec.model)} with ${spec.budget} bits per weight`)}`,
    '',
    'steps:',
    '  - kind: compress',
    '    name: small',
    `    model: ${path(spec.model)}`,
    ...field('method', spec.method),
    ...field('budget', spec.budget),
    ...field('unit', spec.unit),
    ...field('sensitivity', spec.sensitivity),
    // Random inputs are the default, and no file.
    ...(spec.calibration === undefined || spec.calibration === 'random' ? [] : [`    calibration: ${path(spec.calibration)}`]),
    ...field('measure', spec.measure),
    ...(Object.keys(spec.parameters).length === 0 ? [] : field('parameters', spec.parameters)),
    ...field('tensors', spec.tensors),
    ...(overrides.length === 0 ? [] : ['    overrides:', ...overrides]),
    ...(spec.embeddings === true ? ['    embeddings: true'] : []),
    ...(spec.head === true ? ['    head: true'] : []),
    ...field('format', spec.format),
    `    out: ${path(spec.out)}`,
  ].join('\n')}\n`;
}
