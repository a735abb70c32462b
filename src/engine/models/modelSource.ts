import { basename } from 'node:path';
import { LoomweightError } from '../../protocol/errors';
import type { TensorRole } from '../../protocol/model';
import type { CompressReport } from '../../protocol/report';
import { checkWeights } from './decoderWeights';
import { headName } from '../architectures/decoder/expectedTensors';
import type { TensorContainer, TensorEntry } from '../formats/container';
import { refusePointerFile } from '../formats/files/foreignFile';
import { guessRole, type GuessedRole } from './guessRole';
import { openContainer } from './openContainer';
import { recognizeDecoder, type SourceDecoder } from './recognizeDecoder';
import { findOnnxWeights } from './compressibleWeights';
import type { HostThreads } from '../kernels/host/threads/hostThreads';
import { hashFiles } from './hashFile';
import type { FixedTransform } from './fixedTransforms';
import { noteBeforeOpening, noteFiles, refuseChangedFiles, sourcePaths, type SourceFiles } from './sourceFiles';

/** A tensor with what it does in its model. */
export interface SourceTensor {
  readonly entry: TensorEntry;
  readonly role: TensorRole;
  /** True for [in, out] weights of ONNX MatMul and Gemm: planned as [out, in]. */
  readonly transposed?: boolean;
  /** Leading axes that are the rows of the planned matrix, where that is not the first alone. */
  readonly rowAxes?: number;
  /** Set where the values are those of a known transform, which is guessed to be no trained weight: it is compressed only if `tensors` names it. */
  readonly fixed?: FixedTransform;
  /** Set where the role is guessed from the name, because neither an architecture nor a graph says it. */
  readonly guess?: GuessedRole;
}

/** A model to be compressed: its tensors, their roles and, where its config is known, how its graph is built. */
export interface ModelSource {
  readonly container: TensorContainer;
  readonly tensors: ReadonlyMap<string, SourceTensor>;
  /** Undefined for files without a graph and for ONNX models, which bring their own. */
  readonly decoder: SourceDecoder | undefined;
  readonly architecture: string;
  /** True if the output layer of a known architecture is the embedding. */
  readonly tied?: boolean;
  /** True if `tensors` has the embedding again, as the output layer that is tied to it: a copy that must not stay where the embedding changes (`withoutHeadCopy`). */
  readonly headIsCopy?: boolean;
  /** Why tensors of an ONNX model cannot be compressed: the end of a sentence by name. */
  readonly reasons?: ReadonlyMap<string, string>;
  /** Its files as they were when it was opened. */
  readonly files: SourceFiles;
  /** Why no graph can be built although the architecture is known; its weights can still be rounded. */
  readonly notRunnable?: LoomweightError;
  /** What a user should know of how config and file were understood. */
  readonly notes: readonly string[];
  /** The source as it was opened, where this one shows its values in other types. */
  readonly original?: ModelSource;
}

/**
 * Opens a model for compression. Reads headers and few values: those that tell what weights are (`findOnnxWeights`, `recognizeDecoder`). The archive of an ONNX model is unpacked. The caller closes
 * the container.
 */
export async function openSource(model: string): Promise<ModelSource> {
  const given = await noteBeforeOpening(model);
  const container = await openContainer(model, { asHuggingFace: true });
  try {
    const paths = sourcePaths(container);
    const files = new Map([...(await noteFiles(paths)), ...[...given].filter(([path]) => paths.includes(path))]);
    // They are written beside the result as they are.
    for (const companion of container.companions ?? []) await refusePointerFile(companion);
    const recognized = await recognizeDecoder(container);
    const needed = recognized?.expected ?? [];
    checkWeights(container, needed);
    const expected = new Map(needed.map((tensor) => [tensor.name, tensor.role] as const));
    // Beside a tied embedding the file may repeat it.
    if (recognized && !expected.has(headName)) expected.set(headName, 'head');
    const tensors = new Map<string, SourceTensor>();
    if (container.format === 'onnx') refuseNewer(container);
    const found = container.format === 'onnx' ? await findOnnxWeights(container.path) : undefined;
    for (const [name, entry] of container.tensors) {
      const known = found?.uses.get(name);
      const role = found ? (known?.role ?? 'other') : expected.get(name);
      const guess = role === undefined ? guessRole(entry) : undefined;
      const { transposed, rowAxes, fixed } = known ?? {};
      tensors.set(name, {
        entry,
        role: role ?? (guess as GuessedRole).role,
        ...(transposed ? { transposed } : {}),
        ...(rowAxes === undefined ? {} : { rowAxes }),
        ...(fixed ? { fixed } : {}),
        ...(guess ? { guess } : {}),
      });
    }
    const { decoder, notRunnable, tied = false, headIsCopy = false, notes = [] } = recognized ?? {};
    return {
      container,
      tensors,
      files,
      decoder,
      tied,
      headIsCopy,
      architecture: decoder?.config.architecture ?? architectureName(container),
      ...(found ? { reasons: found.reasons } : {}),
      ...(notRunnable ? { notRunnable } : {}),
      notes: notRunnable ? [...notes, `Only bytes are checked: ${notRunnable.message}`] : notes,
    };
  } catch (error) {
    await container.close();
    throw error;
  }
}

/**
 * The source without the copy of the embedding that its file has as the output layer. Readers that find another tensor there than the embedding take it for an output layer of its own, so it is left out
 * where the embedding changes. The source itself where there is no copy.
 */
export function withoutHeadCopy(source: ModelSource): ModelSource {
  if (source.headIsCopy !== true) return source;
  const tensors = new Map(source.tensors);
  tensors.delete(headName);
  const note = `${headName} repeats the embedding, to which config.json ties it: they are one tensor, written once as the embedding.`;
  return { ...source, tensors, headIsCopy: false, notes: [...source.notes, note] };
}

/** The newest IR version that the bundled ONNX Runtime reads. */
const newestIr = 13;

function refuseNewer({ path, metadata }: TensorContainer): void {
  const version = Number(metadata['IR version']);
  if (version > newestIr)
    throw new LoomweightError(
      'unsupported',
      `${path} has IR version ${version}; versions up to ${newestIr} are supported. Export the model again for an older version of ONNX.`,
      { path, irVersion: version },
    );
}

/** The architecture as the config or the graph names it. */
function architectureName({ config, metadata }: TensorContainer): string {
  const named = config?.['architectures'];
  const first: unknown = Array.isArray(named) ? named[0] : undefined;
  return typeof first === 'string' ? first : (metadata['graph'] ?? 'unknown');
}

/**
 * Names, sizes and SHA-256 of the model's files (weights, config, tokenizer), for the report. On `threads` where given. Errors: `malformed-file` if one of them is no longer the one
 * that was opened; called after everything was read, so that the digests are those of what was read.
 */
export async function hashSource(
  source: ModelSource,
  signal?: AbortSignal,
  threads?: HostThreads,
): Promise<CompressReport['source']['files']> {
  const { files } = source.original ?? source;
  const paths = [...files.keys()];
  const digests = await hashFiles(paths, threads, signal);
  await refuseChangedFiles(files);
  return [...files].map(([path, { bytes }], index) => ({ path: basename(path), bytes: Number(bytes), sha256: digests[index] as string }));
}
