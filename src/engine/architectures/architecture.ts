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

/** Where a tensor has an axis: unit `u` is the entries `u * run` to `(u + 1) * run` along it. */
export interface AxisUse {
  readonly tensor: string;
  readonly axis: number;
  readonly run: number;
}

/**
 * Axes of several tensors that have the same units. Another order of the units in all uses alike leaves the model's outputs unchanged (of `vocabulary`: in that
 * order); without some units in all uses, and with the sizes of the config reduced, it is a smaller model.
 */
export interface LinkedAxis {
  readonly kind: 'vocabulary' | 'hidden' | 'intermediate' | 'key-value-heads' | 'query-heads';
  /** Undefined where the whole model shares it. */
  readonly block: number | undefined;
  readonly units: number;
  /** Units change places only within stretches of so many: query heads that read the same key head. Default: all are one stretch. */
  readonly within?: number;
  readonly uses: readonly AxisUse[];
}

/** A scale of each channel that can move between tensors: rows (or entries) of `from` times s and columns of `to` divided by s give the same outputs. */
export interface ScaleFold {
  readonly block: number | undefined;
  readonly channels: number;
  readonly from: readonly string[];
  readonly to: readonly string[];
  /** Columns repeat the channels: each stretch of `run` channels occurs `times` times in a row. Default: column c is channel c. */
  readonly repeated?: { readonly run: number; readonly times: number };
}

/** How a config is read. */
export interface ReadConfigOptions {
  readonly layoutOnly?: boolean;
}

/** A decoder-only architecture: the tensors it expects and how its graphs are built. */
export interface DecoderArchitecture {
  readonly names: readonly string[];
  /**
   * Reads config.json. `layoutOnly`: names, shapes and roles are wanted, so that a setting that only the graph needs (rotary scaling, activation) may be any.
   * Errors: `malformed-file`, `unsupported` for a setting whose graph cannot be built.
   */
  readConfig(config: Readonly<Record<string, unknown>>, options?: ReadConfigOptions): DecoderConfig;
  expectedTensors(config: DecoderConfig): readonly ExpectedTensor[];
  /** Which axes of which tensors belong together. */
  linkedAxes(config: DecoderConfig): readonly LinkedAxis[];
  /** Which tensors feed which linear layers channel by channel. */
  scaleFolds(config: DecoderConfig): readonly ScaleFold[];
  /** The whole model with Optimum's names and KV cache: input_ids, attention_mask, position_ids, past_key_values.N.key|value -> logits, present.N.key|value. */
  buildLanguageModel(config: DecoderConfig, weights: WeightSource): Graph;
}
