import { quoteName, unsupportedContent } from '../malformed';
import type { GgufValue } from './metadata';

/** What the scaling of a model's rotary positions is read from. */
export interface RopeMetadata {
  readonly family: string;
  /** A number of the metadata, by its key without the family. */
  readonly read: (key: string) => number | undefined;
  /** Base of the frequencies. */
  readonly theta: number;
  readonly headSize: number;
  /** Values of `rope_freqs.weight`, if the file has it. */
  readonly factors: Float32Array | undefined;
}

interface Model {
  readonly path: string;
  readonly values: ReadonlyMap<string, GgufValue>;
}

type Scaling = Readonly<Record<string, unknown>>;

/**
 * `rope_scaling` of config.json from GGUF metadata, as llama.cpp's loader understands them; null where nothing is scaled. Frequency factors are those of Llama 3, alone. Errors: `unsupported` for
 * scalings that config.json cannot express, and for YaRN without its numbers.
 */
export function ropeScaling(model: Model, metadata: RopeMetadata): Scaling | null {
  const scaling = metadataScaling(model, metadata);
  if (!metadata.factors) return scaling;
  if (scaling === null) return llama3Scaling(metadata.factors, metadata.theta, metadata.headSize, model.path);
  throw refused(
    model,
    `scales rotary positions both by frequency factors and by ${quoteName(String(scaling['rope_type']))}, which config.json of Hugging Face cannot express.`,
  );
}

function refused({ path }: Model, problem: string) {
  return unsupportedContent(path, 'unsupported-architecture', `${path} ${problem}`);
}

/** A factor without a type is linear, older files have the key `rope.scale_linear` for it, and without a factor nothing is scaled. */
function metadataScaling(model: Model, metadata: RopeMetadata): Scaling | null {
  const { family, read } = metadata;
  const type = model.values.get(`${family}.rope.scaling.type`) ?? 'linear';
  if (type === 'none') return null;
  if (type === 'yarn') return yarnScaling(model, metadata);
  const factor = read('rope.scaling.factor') ?? read('rope.scale_linear') ?? 0;
  if (type !== 'linear')
    throw refused(model, `scales rotary positions by ${quoteName(String(type))}; only linear, YaRN and Llama 3 scaling can be converted.`);
  if (factor === 0 || factor === 1) return null;
  if (Number.isFinite(factor) && factor > 0) return { type: 'linear', rope_type: 'linear', factor };
  throw refused(model, `scales rotary positions by the factor ${factor}, but a factor must be above 0. Convert the model to GGUF again.`);
}

const extrapolation = 'rope.scaling.yarn_ext_factor';

/** Keys of llama.cpp whose other values config.json has no place for. */
const neutral: Readonly<Record<string, number>> = {
  [extrapolation]: 1,
  'rope.scaling.yarn_attn_factor': 1,
  'rope.scaling.yarn_log_multiplier': 0,
};

/**
 * YaRN with what the file states. llama.cpp multiplies the cosines and sines by `attn_factor` (default 1) times 0.1 ln(factor) + 1, transformers by `attention_factor`, whose default is the second
 * term. Both share the defaults of beta_fast and beta_slow. Source: llama.cpp, `ggml_rope_yarn_corr_dims` and the context's `yarn_attn_factor`; transformers, `_compute_yarn_parameters`.
 */
function yarnScaling(model: Model, { family, read }: RopeMetadata): Scaling {
  const name = (key: string) => `${family}.${key}`;
  const positive = (key: string, isValid: (value: number) => boolean = Number.isFinite): number | undefined => {
    const value = read(key);
    if (value === undefined || (isValid(value) && value > 0)) return value;
    throw refused(model, `scales rotary positions by YaRN, but ${name(key)} is ${value}. Convert the model to GGUF again.`);
  };
  const factor = positive('rope.scaling.factor');
  const original = positive('rope.scaling.original_context_length', Number.isSafeInteger);
  const lacks = [
    ...(factor === undefined ? [name('rope.scaling.factor')] : []),
    ...(original === undefined ? [name('rope.scaling.original_context_length')] : []),
  ];
  if (factor === undefined || original === undefined)
    throw refused(model, `scales rotary positions by YaRN, but its metadata lack ${lacks.join(' and ')}. Convert the model to GGUF again.`);
  for (const [key, value] of Object.entries(neutral)) {
    const stated = read(key) ?? value;
    // llama.cpp writes and reads a negative factor as its default, which is 1 under YaRN.
    const given = key === extrapolation && stated < 0 ? value : stated;
    if (given !== value)
      throw refused(model, `scales rotary positions by YaRN with ${name(key)} ${given}, which config.json of Hugging Face cannot express.`);
  }
  const attention = positive('rope.scaling.attn_factor') ?? 1;
  const [fast, slow] = [positive('rope.scaling.yarn_beta_fast'), positive('rope.scaling.yarn_beta_slow')];
  return {
    type: 'yarn',
    rope_type: 'yarn',
    factor,
    original_max_position_embeddings: original,
    ...(attention === 1 ? {} : { attention_factor: attention * (factor > 1 ? 0.1 * Math.log(factor) + 1 : 1) }),
    ...(fast === undefined ? {} : { beta_fast: fast }),
    ...(slow === undefined ? {} : { beta_slow: slow }),
  };
}

/**
 * Llama 3 files store the scaling as one divisor per frequency. The divisors are recomputed from the four numbers in config.json and must
 * agree: a wrong scaling would go unnoticed until texts get long. Formula: transformers, rope type `llama3`; the published models have low
 * 1, high 4, original context 8,192.
 */
function llama3Scaling(factors: Float32Array, theta: number, headSize: number, file: string): Record<string, unknown> {
  const factor = Math.max(...factors);
  const scaling = { rope_type: 'llama3', factor, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };
  const agrees =
    factors.length === headSize / 2 &&
    factors.every((given, i) => {
      const turns = (scaling.original_max_position_embeddings * theta ** ((-2 * i) / headSize)) / (2 * Math.PI);
      const smooth = Math.min(1, Math.max(0, (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)));
      const expected = 1 / ((1 - smooth) / factor + smooth);
      return Math.abs(given - expected) <= 1e-3 * expected;
    });
  if (agrees) return scaling;
  throw unsupportedContent(
    file,
    'unsupported-architecture',
    `${file} has frequency factors (rope_freqs) other than those of Llama 3, which config.json cannot express.`,
  );
}
