import type { FieldProblem, FieldRule, FieldWords } from './fields';
import type { MethodDescription } from './methods';

/** What is wrong with the fields that a step has, by its kind's rules. `method`: the step's, where it has a known one. */
export function brokenRules(
  rules: readonly FieldRule[],
  has: (key: string) => boolean,
  words: FieldWords,
  method: Pick<MethodDescription, 'id' | 'needs' | 'learnsWidths'> | undefined,
): readonly FieldProblem[] {
  return rules.flatMap((rule): readonly FieldProblem[] => {
    const given = rule.keys.filter(has);
    switch (rule.rule) {
      case 'some':
        return given.length === 0 ? [{ message: words.lacks(rule.keys, rule.what) }] : [];
      case 'one':
        return given.length === 0 ? [{ message: words.lacks(rule.keys, rule.what) }] : tooMany(given, words);
      case 'exclusive':
        return tooMany(given, words);
      case 'belongs': {
        if (has(rule.to) || (rule.orStatistics === true && (method?.needs.length ?? 0) > 0)) return [];
        const other = rules.flatMap((each) => (each.rule === 'one' && each.keys.includes(rule.to) ? each.keys : [])).find(has);
        const why = other === undefined ? words.absent : words.present(other);
        return given.map((key) => ({ key, message: `${words.name(key)} requires ${words.name(rule.to)}, ${why}.` }));
      }
      case 'learnsWidths':
        if (method === undefined || method.learnsWidths === true) return [];
        return given.map((key) => ({
          key,
          message: `Method '${method.id}' has fixed widths; ${words.name(key)} applies only to methods that learn them.`,
        }));
      case 'needsStatistics':
        if (method === undefined || method.needs.length > 0) return [];
        return given.map((key) => ({
          key,
          message: `Method '${method.id}' needs no calibration; ${words.name(key)} applies only to methods that do.`,
        }));
    }
  });
}

function tooMany(given: readonly string[], words: FieldWords): readonly FieldProblem[] {
  const key = given.at(-1);
  if (key === undefined || given.length < 2) return [];
  return [{ key, message: `${given.map((each) => words.name(each)).join(' and ')} cannot be combined. Give one of them.` }];
}
