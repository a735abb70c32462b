import { quoteName } from '../malformed';

/** A config's statement that its weights are quantised. */
export interface StatedQuantization {
  /** The method with its settings: `bitsandbytes (4 bits, nf4)`. */
  readonly method: string;
  /** The entry, with the way to it: `text_config.quantization_config`. */
  readonly entry: string;
}

type Entries = Readonly<Record<string, unknown>>;

/** Entries that hold the settings of a quantisation: transformers', that of older compressed-tensors, MLX's. */
const entryNames = ['quantization_config', 'compression_config', 'quantization'];

/** How deep the config of a part (`text_config`, `language_config.llm_config`) can be nested. */
const deepest = 3;

/**
 * Reads whether config.json, or the config of a part of the model in it, says that the weights are quantised. Never fails: an entry of an unexpected form still says
 * that they are.
 */
export function quantizationOfConfig(config: Entries, prefix = '', depth = 0): StatedQuantization | undefined {
  for (const name of entryNames) {
    const value = config[name];
    // MLX writes an object; elsewhere the word is used for other things.
    if (isAbsent(value) || (name === 'quantization' && !isObject(value))) continue;
    return { method: isObject(value) ? describe(value) : 'an unnamed method', entry: `${prefix}${name}` };
  }
  if (depth >= deepest) return undefined;
  for (const [name, value] of Object.entries(config)) {
    if (!name.endsWith('_config') || !isObject(value)) continue;
    const found = quantizationOfConfig(value, `${prefix}${name}.`, depth + 1);
    if (found) return found;
  }
  return undefined;
}

function describe(settings: Entries): string {
  const flag = (name: string): boolean => settings[name] === true;
  const method = firstText(settings, ['quant_method', 'quant_algo', 'method', 'quantization_method', 'quant_type']);
  const isBits = flag('load_in_8bit') || flag('load_in_4bit') || flag('_load_in_8bit') || flag('_load_in_4bit');
  const name =
    method ?? (isBits ? 'bitsandbytes' : 'group_size' in settings && 'bits' in settings ? 'groups of codes' : 'an unnamed method');
  const details = [
    ...(flag('load_in_4bit') || flag('_load_in_4bit') ? ['4 bits'] : []),
    ...(flag('load_in_8bit') || flag('_load_in_8bit') ? ['8 bits'] : []),
    ...numberDetail(settings, ['bits', 'w_bit', 'nbits', 'num_bits'], (bits) => `${bits} bits`),
    ...numberDetail(settings, ['group_size', 'q_group_size'], (size) => (size > 0 ? `groups of ${size}` : 'one group per row')),
    ...textDetail(settings, ['format', 'bnb_4bit_quant_type', 'fmt']),
    ...blockDetail(settings['weight_block_size']),
  ];
  return details.length === 0 ? name : `${name} (${[...new Set(details)].join(', ')})`;
}

function firstText(settings: Entries, names: readonly string[]): string | undefined {
  const text = names.map((name) => settings[name]).find((value) => typeof value === 'string' && value.trim() !== '');
  if (typeof text !== 'string') return undefined;
  return /^[\w.+ -]{1,40}$/.test(text) ? text : quoteName(text);
}

function numberDetail(settings: Entries, names: readonly string[], write: (value: number) => string): readonly string[] {
  const value = names.map((name) => settings[name]).find((each) => typeof each === 'number' && Number.isSafeInteger(each));
  return typeof value === 'number' ? [write(value)] : [];
}

function textDetail(settings: Entries, names: readonly string[]): readonly string[] {
  const text = firstText(settings, names);
  return text === undefined ? [] : [text];
}

function blockDetail(value: unknown): readonly string[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > 4 || !value.every((each) => Number.isSafeInteger(each))) return [];
  return [`blocks of ${value.join(' x ')}`];
}

/**
 * True for settings that say nothing: none at all, only `false` and `null`, or those of bitsandbytes with every `load_in_*` switched off, which transformers takes for a
 * plain model whatever else they hold.
 */
function isAbsent(value: unknown): boolean {
  if (!isObject(value)) return isOff(value);
  if (Object.values(value).every(isOff)) return true;
  const method = value['quant_method'];
  const flags = ['load_in_8bit', 'load_in_4bit', '_load_in_8bit', '_load_in_4bit'].filter((name) => name in value);
  return flags.length > 0 && flags.every((name) => isOff(value[name])) && (isOff(method) || method === 'bitsandbytes');
}

function isOff(value: unknown): boolean {
  return value === undefined || value === null || value === false;
}

function isObject(value: unknown): value is Entries {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
