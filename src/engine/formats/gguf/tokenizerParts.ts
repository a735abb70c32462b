import type { GgufValue } from './metadata';

type Json = Readonly<Record<string, unknown>>;

/** Values of tokenizer.ggml.token_type. */
export const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** The type of every token; a file without types only has normal ones. */
export function typesOf(values: ReadonlyMap<string, GgufValue>, count: number): readonly number[] {
  const types = values.get('tokenizer.ggml.token_type');
  const given = Array.isArray(types) ? (types as readonly GgufValue[]) : [];
  return Array.from({ length: count }, (_, id) => (typeof given[id] === 'number' ? given[id] : tokenTypes.normal));
}

/** Tokens that are matched as a whole in the text before anything else: `added_tokens` of tokenizer.json. */
export function addedTokens(tokens: readonly string[], types: readonly number[], special: readonly number[]): readonly Json[] {
  return tokens.flatMap((content, id) => {
    const type = types[id] as number;
    if (type !== tokenTypes.userDefined && !special.includes(type)) return [];
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: type !== tokenTypes.userDefined }];
  });
}

/** A special token by its role (`bos`, `eos`, `unknown`, `padding`), if the file names one. */
export function tokenText(
  values: ReadonlyMap<string, GgufValue>,
  kind: string,
): { readonly id: number; readonly text: string } | undefined {
  const id = values.get(`tokenizer.ggml.${kind}_token_id`);
  const tokens = values.get('tokenizer.ggml.tokens');
  const text = typeof id === 'number' && Array.isArray(tokens) ? (tokens as readonly GgufValue[])[id] : undefined;
  return typeof id === 'number' && typeof text === 'string' ? { id, text } : undefined;
}

/**
 * The step that adds the start and end tokens to a text, according to the file's flags; undefined if it adds neither. `addsBos`: the
 * default for a file without the flag.
 */
export function specialTokenTemplate(values: ReadonlyMap<string, GgufValue>, addsBos: boolean): Json | undefined {
  const wanted = (kind: 'bos' | 'eos', otherwise: boolean) =>
    (values.get(`tokenizer.ggml.add_${kind}_token`) ?? otherwise) === true ? tokenText(values, kind) : undefined;
  const bos = wanted('bos', addsBos);
  const eos = wanted('eos', false);
  if (!bos && !eos) return undefined;
  const special = (token: { readonly text: string } | undefined) => (token ? [{ SpecialToken: { id: token.text, type_id: 0 } }] : []);
  const sequence = (name: string) => [...special(bos), { Sequence: { id: name, type_id: 0 } }, ...special(eos)];
  const named = [bos, eos].flatMap((token) => (token ? [[token.text, { id: token.text, ids: [token.id], tokens: [token.text] }]] : []));
  return {
    type: 'TemplateProcessing',
    single: sequence('A'),
    pair: [...sequence('A'), ...sequence('B')],
    special_tokens: Object.fromEntries(named) as Json,
  };
}

/** A list of strings, or undefined for anything else. */
export function texts(value: GgufValue | undefined): readonly string[] | undefined {
  return Array.isArray(value) && value.every((item) => typeof item === 'string') ? (value as readonly string[]) : undefined;
}
