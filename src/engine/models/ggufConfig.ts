import { LoomweightError } from '../../protocol/errors';
import { findArchitecture } from '../architectures';
import type { TensorContainer } from '../formats/container';

/** Keys of GGUF metadata, without the architecture's name before them, by the entries of config.json that are made from them. */
const metadataKeys: Readonly<Record<string, string>> = {
  hidden_size: 'embedding_length',
  intermediate_size: 'feed_forward_length',
  num_hidden_layers: 'block_count',
  num_attention_heads: 'attention.head_count',
  num_key_value_heads: 'attention.head_count_kv',
  head_dim: 'attention.key_length',
  vocab_size: 'vocab_size',
  max_position_embeddings: 'context_length',
  rms_norm_eps: 'attention.layer_norm_rms_epsilon',
  rope_theta: 'rope.freq_base',
};

/**
 * Checks the config that a view of a GGUF file was given, so that an invalid entry is reported as the metadata that it comes from: the user has no config.json. Errors: `malformed-file`,
 * `unsupported`.
 */
export function checkGgufConfig({ path, config, metadata }: TensorContainer): void {
  const architecture = config && findArchitecture(config);
  if (!architecture) return;
  try {
    architecture.readConfig(config, { layoutOnly: true });
  } catch (error) {
    if (!(error instanceof LoomweightError)) throw error;
    const { key, wanted, got } = error.details ?? {};
    const known = typeof key === 'string' && Object.hasOwn(metadataKeys, key) ? metadataKeys[key] : undefined;
    if (known === undefined || typeof wanted !== 'string') throw error;
    const name = `${metadata['general.architecture'] ?? 'model'}.${known}`;
    throw new LoomweightError(
      error.code,
      `The metadata of ${path} need ${wanted} for '${name}', got ${got === undefined ? 'nothing' : JSON.stringify(got)}. Convert the model to GGUF again.`,
      { path, key: name, got },
      { cause: error },
    );
  }
}
