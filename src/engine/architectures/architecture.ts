import type { TensorRole } from '../../protocol/model';
import type { GraphBuilder } from '../graph/builder';
import type { Graph, Value } from '../graph/graph';

/** Sizes and settings of a decoder-only language model, from config.json (both styles) or GGUF metadata. */
export interface DecoderConfig {
  /** `LlamaForCausalLM`, `MistralForCausalLM`, `Qwen2ForCausalLM`. */
  readonly architecture: string;
  readonly layers: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly vocabularySize: number;
  readonly contextLength: number;
  readonly normEpsilon: number;
  readonly ropeTheta: number;
  /** Scaling of rotary frequencies (`linear`, `llama3`, ...), as in config; undefined if there is none. */
  readonly ropeScaling: Readonly<Record<string, unknown>> | undefined;
  /** Biases of q, k, v; of o; of the MLP. */
  readonly biases: { readonly queryKeyValue: boolean; readonly output: boolean; readonly mlp: boolean };
  readonly tiedEmbeddings: boolean;
  readonly slidingWindow: number | undefined;
  /** Blocks with the sliding window; undefined means all (if there is a window). */
  readonly windowedBlocks?: readonly boolean[];
  readonly bosTokenId: number | undefined;
  readonly eosTokenIds: readonly number[];
}

/** A weight that an architecture expects: its name on disk, shape, role and block. */
export interface ExpectedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly role: TensorRole;
  /** Index of the decoder block; undefined for embedding, final norm and head. */
  readonly block: number | undefined;
}

/**
 * Adds weights to a graph being built. The implementation decides the form: exporters choose float, QDQ, MatMulNBits or packed; block
 * streaming makes them inputs. `x` is [..., in]; weights on disk are [out, in].
 */
export interface WeightSource {
  /** y = x W^T (+ bias if `biasName` is given): [..., out]. */
  linear(build: GraphBuilder, name: string, x: Value, shape: { readonly out: number; readonly in: number }, biasName?: string): Value;
  /** Rows of an embedding [vocabulary, hidden] for token ids: [..., hidden], float32. */
  embedding(build: GraphBuilder, name: string, ids: Value, shape: { readonly rows: number; readonly columns: number }): Value;
  /** A float32 vector: norms and biases. */
  vector(build: GraphBuilder, name: string, length: number): Value;
}

/** A decoder-only architecture: the tensors it expects and how its graphs are built. */
export interface DecoderArchitecture {
  readonly names: readonly string[];
  readConfig(config: Readonly<Record<string, unknown>>): DecoderConfig;
  expectedTensors(config: DecoderConfig): readonly ExpectedTensor[];
  /** The whole model with Optimum's names and KV cache: input_ids, attention_mask, position_ids, past_key_values.N.key|value -> logits, present.N.key|value. */
  buildLanguageModel(config: DecoderConfig, weights: WeightSource): Graph;
}
