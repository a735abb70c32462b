import { ownEntry } from '../../../common/ownEntry';
import { LoomweightError } from '../../../protocol/errors';

/** config.json of a Hugging Face folder, as written. */
export type RawConfig = Readonly<Record<string, unknown>>;

/** Larger than in any model: tables and plans are made for every block and every value of a head, and a false number must not keep us busy. */
const largest: Readonly<Record<string, number>> = {
  num_hidden_layers: 10_000,
  head_dim: 65_536,
  num_attention_heads: 65_536,
  num_key_value_heads: 65_536,
  hidden_size: 1_048_576,
};

/** An integer of config.json. Missing or null: the fallback, or an error if there is none. */
export function wholeNumber(config: RawConfig, key: string, fallback?: number): number {
  const value = config[key] ?? fallback;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) {
    const most = ownEntry(largest, key);
    if (most !== undefined && value > most) throw malformed(key, `at most ${most}`, value, { diagnostic: implausibleSize });
    return value;
  }
  throw malformed(key, 'a positive whole number', config[key]);
}

/** A positive number of config.json. */
export function positiveNumber(config: RawConfig, key: string, fallback?: number): number {
  const value = config[key] ?? fallback;
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value;
  throw malformed(key, 'a positive number', config[key]);
}

/** A boolean of config.json. */
export function flag(config: RawConfig, key: string, fallback: boolean): boolean {
  const value = config[key] ?? fallback;
  if (typeof value === 'boolean') return value;
  throw malformed(key, 'true or false', value);
}

/** A token id; undefined if it is missing, null or negative. */
export function tokenId(config: RawConfig, key: string): number | undefined {
  const value = config[key];
  const first: unknown = Array.isArray(value) ? value[0] : value;
  return typeof first === 'number' && Number.isSafeInteger(first) && first >= 0 ? first : undefined;
}

/** Token ids given as one number or a list. */
export function tokenIds(config: RawConfig, key: string): readonly number[] {
  const value = config[key];
  return (Array.isArray(value) ? value : [value]).filter(
    (id): id is number => typeof id === 'number' && Number.isSafeInteger(id) && id >= 0,
  );
}

/** A nested object; undefined if it is missing or null. */
export function nested(config: RawConfig, key: string): RawConfig | undefined {
  const value = config[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'object' && !Array.isArray(value)) return value as RawConfig;
  throw malformed(key, 'an object', value);
}

/** The diagnostic of a size beyond what any model has: such a config is not guessed around. */
export const implausibleSize = 'implausible-size';

/** The error for an invalid entry. */
export function malformed(key: string, wanted: string, got: unknown, details: Readonly<Record<string, unknown>> = {}): LoomweightError {
  return new LoomweightError(
    'malformed-file',
    `config.json needs ${wanted} for '${key}', got ${got === undefined ? 'nothing' : JSON.stringify(got)}. Correct config.json.`,
    { key, wanted, got, ...details },
  );
}

/** The error for a valid entry that requests something unsupported. `where`: what states it, with the verb. */
export function unsupportedEntry(key: string, supported: string, got: unknown, where = 'config.json sets'): LoomweightError {
  return new LoomweightError(
    'unsupported',
    `${where} ${key} to ${JSON.stringify(got)}, but only ${supported} can be run. This model can still be inspected, compared, and compressed in the formats hf and archive.`,
    { key, supported, got },
  );
}
