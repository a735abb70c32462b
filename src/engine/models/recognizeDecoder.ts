import { LoomweightError } from '../../protocol/errors';
import { findArchitecture, recognizeModel } from '../architectures';
import type { DecoderArchitecture, DecoderConfig, ExpectedTensor, ReadConfigOptions } from '../architectures/architecture';
import { embeddingName, headName } from '../architectures/decoder/expectedTensors';
import type { TensorContainer } from '../formats/container';
import { ggufError } from './ggufConfig';

/** A decoder that can be built from the source's config. */
export interface SourceDecoder {
  readonly architecture: DecoderArchitecture;
  readonly config: DecoderConfig;
}

/** What the config of a container says of its architecture. */
export interface RecognizedDecoder {
  /** Undefined if its graph cannot be built: `notRunnable` says why. */
  readonly decoder: SourceDecoder | undefined;
  readonly notRunnable: LoomweightError | undefined;
  /** The tensors of the architecture, whether or not it can be run. */
  readonly expected: readonly ExpectedTensor[];
  /** True if the output layer is the embedding. */
  readonly tied: boolean;
  /** True if the file holds the embedding again, as the output layer that is tied to it. */
  readonly headIsCopy: boolean;
  /** What a user should know of how config and file were understood. */
  readonly notes: readonly string[];
}

/**
 * The decoder of a container, where its config names a known architecture. A setting that only the graph needs (rotary scaling, activation) leaves names, shapes and roles known. Reads headers,
 * and of a config that ties the head to the embedding while the file has both, their values. Errors: `malformed-file`.
 */
export async function recognizeDecoder(container: TensorContainer): Promise<RecognizedDecoder | undefined> {
  if (container.format === 'onnx' || container.config === undefined) return undefined;
  const architecture = findArchitecture(container.config);
  if (!architecture) return undefined;
  const { config, notRunnable } = readKnownConfig(architecture, container, container.config);
  const untied = await withOwnHead(container, config);
  return {
    decoder: notRunnable ? undefined : { architecture, config: untied.config },
    notRunnable,
    expected: architecture.expectedTensors(untied.config),
    tied: untied.config.tiedEmbeddings,
    headIsCopy: untied.headIsCopy,
    notes: untied.notes,
  };
}

/** The config as it can be run, or else what of it tells names, shapes and roles, and why it cannot be run. Errors: `malformed-file`. */
function readKnownConfig(
  architecture: DecoderArchitecture,
  container: TensorContainer,
  config: Readonly<Record<string, unknown>>,
): { readonly config: DecoderConfig; readonly notRunnable: LoomweightError | undefined } {
  const read = (options?: ReadConfigOptions): DecoderConfig => {
    try {
      return architecture.readConfig(config, options);
    } catch (error) {
      throw ggufError(container, error);
    }
  };
  try {
    return { config: read(), notRunnable: undefined };
  } catch (error) {
    if (!(error instanceof LoomweightError) || error.code !== 'unsupported') throw error;
    return { config: read({ layoutOnly: true }), notRunnable: error };
  }
}

/** The decoder of a container that is to be run. Errors: `unsupported` with what cannot be run, `malformed-file`. */
export async function runnableDecoder(container: TensorContainer): Promise<SourceDecoder & Pick<RecognizedDecoder, 'notes'>> {
  const found = await recognizeDecoder(container);
  if (found?.decoder) return { ...found.decoder, notes: found.notes };
  if (found?.notRunnable) throw found.notRunnable;
  return { ...recognizeModel(container.config ?? {}), notes: [] };
}

/** Bytes that are compared at a time. */
const chunkBytes = 1 << 20;

/**
 * A config may tie the head to the embedding although the file has a head of its own. As in transformers 5, the two are then not tied. Where their values are equal nothing is gained by that, and
 * they stay tied.
 */
async function withOwnHead(
  container: TensorContainer,
  config: DecoderConfig,
): Promise<{ readonly config: DecoderConfig; readonly headIsCopy: boolean; readonly notes: readonly string[] }> {
  const head = container.tensors.get(headName);
  const embedding = container.tensors.get(embeddingName);
  if (!config.tiedEmbeddings || !head || !embedding || head.shape.join() !== embedding.shape.join())
    return { config, headIsCopy: false, notes: [] };
  if (head.dtype === embedding.dtype && (await haveEqualBytes(container, headName, embeddingName, head.bytes)))
    return { config, headIsCopy: true, notes: [] };
  return {
    config: { ...config, tiedEmbeddings: false },
    headIsCopy: false,
    notes: [
      `config.json ties the output layer to the embedding, but ${headName} has values of its own: it is used as the output layer, as in transformers 5. ` +
        'Set tie_word_embeddings to false in config.json, or remove the tensor, so that every tool agrees.',
    ],
  };
}

async function haveEqualBytes(container: TensorContainer, first: string, second: string, bytes: number): Promise<boolean> {
  for (let offset = 0; offset < bytes; offset += chunkBytes) {
    const range = { offset, length: Math.min(chunkBytes, bytes - offset) };
    const [a, b] = await Promise.all([container.read(first, range), container.read(second, range)]);
    if (Buffer.compare(a, b) !== 0) return false;
  }
  return true;
}
