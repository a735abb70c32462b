import { ownEntry } from '../../common/ownEntry';
import { LoomweightError } from '../../protocol/errors';
import { unsupportedEntry } from '../architectures/decoder/configReader';
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
 * An error of reading a config, for a user who may have none: where a view of a GGUF file was given the config, its invalid entry is reported as the metadata that it comes from. Other errors come
 * back as they are.
 */
export function ggufError({ format, path, metadata }: TensorContainer, error: unknown): unknown {
  if (format !== 'gguf' || !(error instanceof LoomweightError)) return error;
  const { key, wanted, supported, got } = error.details ?? {};
  if (typeof key === 'string' && typeof supported === 'string') return unsupportedEntry(key, supported, got, `The metadata of ${path} set`);
  const known = typeof key === 'string' ? ownEntry(metadataKeys, key) : undefined;
  if (known === undefined || typeof wanted !== 'string') return error;
  const name = `${metadata['general.architecture'] ?? 'model'}.${known}`;
  return new LoomweightError(
    error.code,
    `The metadata of ${path} need ${wanted} for '${name}', got ${got === undefined ? 'nothing' : JSON.stringify(got)}. Convert the model to GGUF again.`,
    { path, key: name, got },
    { cause: error },
  );
}
