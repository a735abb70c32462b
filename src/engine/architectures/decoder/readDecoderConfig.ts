import type { DecoderConfig, ReadConfigOptions } from '../architecture';
import { flag, malformed, positiveNumber, tokenId, tokenIds, unsupportedEntry, wholeNumber, type RawConfig } from './configReader';
import { readRope } from './rope';

/** Differences between architectures of the Llama family in reading their config.json. */
export interface FamilyDefaults {
  readonly architecture: string;
  readonly contextLength: number;
  readonly biases: DecoderConfig['biases'];
  readonly slidingWindow?: number;
  /** Blocks with the sliding window; undefined means all. */
  readonly windowedBlocks?: readonly boolean[];
}

/**
 * Reads the entries that all Llama-like architectures share, in either style: `rope_theta` + `rope_scaling` or `rope_parameters`. Sizes
 * must be consistent. Errors: `malformed-file`, `unsupported` (activation, rotary scaling).
 */
export function readDecoderConfig(
  config: RawConfig,
  family: FamilyDefaults,
  { layoutOnly = false }: ReadConfigOptions = {},
): DecoderConfig {
  const activation = config['hidden_act'] ?? 'silu';
  if (!layoutOnly && activation !== 'silu' && activation !== 'swish') throw unsupportedEntry('hidden_act', 'silu', activation);
  const hiddenSize = wholeNumber(config, 'hidden_size');
  const heads = wholeNumber(config, 'num_attention_heads');
  const keyValueHeads = wholeNumber(config, 'num_key_value_heads', heads);
  if (heads % keyValueHeads !== 0) throw malformed('num_key_value_heads', `a divisor of the ${heads} attention heads`, keyValueHeads);
  const headSize = wholeNumber(config, 'head_dim', Math.floor(hiddenSize / heads));
  if (headSize % 2 !== 0) throw malformed('head_dim', 'an even number', headSize);
  return {
    architecture: family.architecture,
    layers: wholeNumber(config, 'num_hidden_layers'),
    hiddenSize,
    intermediateSize: wholeNumber(config, 'intermediate_size'),
    heads,
    keyValueHeads,
    headSize,
    vocabularySize: wholeNumber(config, 'vocab_size'),
    contextLength: wholeNumber(config, 'max_position_embeddings', family.contextLength),
    normEpsilon: positiveNumber(config, 'rms_norm_eps', 1e-6),
    ...(layoutOnly ? { ropeTheta: 10_000, ropeScaling: undefined } : readRope(config, headSize)),
    biases: family.biases,
    tiedEmbeddings: flag(config, 'tie_word_embeddings', false),
    slidingWindow: family.slidingWindow,
    ...(family.windowedBlocks === undefined ? {} : { windowedBlocks: family.windowedBlocks }),
    bosTokenId: tokenId(config, 'bos_token_id'),
    eosTokenIds: tokenIds(config, 'eos_token_id'),
  };
}

/** The sliding window of a block; undefined if it sees everything before. */
export function windowOfBlock(config: DecoderConfig, block: number): number | undefined {
  return (config.windowedBlocks?.[block] ?? true) ? config.slidingWindow : undefined;
}
