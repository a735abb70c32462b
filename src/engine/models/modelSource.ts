import { basename } from 'node:path';
import { floatDTypes } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import type { TensorRole } from '../../protocol/model';
import type { CompressReport } from '../../protocol/report';
import type { DecoderArchitecture, DecoderConfig } from '../architectures/architecture';
import { findArchitecture } from '../architectures';
import { checkWeights } from './decoderWeights';
import type { TensorContainer, TensorEntry } from '../formats/container';
import { openContainer } from './openContainer';
import { findOnnxWeights } from './compressibleWeights';
import type { HostThreads } from '../kernels/host/threads/hostThreads';
import { hashFiles } from './hashFile';
import type { FixedTransform } from './fixedTransforms';
import { noteFiles, refuseChangedFiles, sourcePaths, type SourceFiles } from './sourceFiles';

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
}

/** A decoder that can be built from the source's config. */
export interface SourceDecoder {
  readonly architecture: DecoderArchitecture;
  readonly config: DecoderConfig;
}

/** A model to be compressed: its tensors, their roles and, where its config is known, how its graph is built. */
export interface ModelSource {
  readonly container: TensorContainer;
  readonly tensors: ReadonlyMap<string, SourceTensor>;
  /** Undefined for files without a graph and for ONNX models, which bring their own. */
  readonly decoder: SourceDecoder | undefined;
  readonly architecture: string;
  /** Why tensors of an ONNX model cannot be compressed: the end of a sentence by name. */
  readonly reasons?: ReadonlyMap<string, string>;
  /** Its files as they were when it was opened. */
  readonly files: SourceFiles;
  /** The source as it was opened, where this one shows its values in other types. */
  readonly original?: ModelSource;
}

/** Opens a model for compression. Reads headers only. The caller closes the container. */
export async function openSource(model: string): Promise<ModelSource> {
  // Noted before anything is read: an archive takes a while to unpack.
  const given = await noteFiles([model]).catch((): SourceFiles => new Map());
  const container = await openContainer(model, { asHuggingFace: true });
  try {
    const paths = sourcePaths(container, container.tensors.values());
    const files = new Map([...(await noteFiles(paths)), ...[...given].filter(([path]) => paths.includes(path))]);
    const decoder = decoderOf(container);
    const needed = decoder?.architecture.expectedTensors(decoder.config) ?? [];
    checkWeights(container, needed);
    const expected = new Map(needed.map((tensor) => [tensor.name, tensor.role] as const));
    const tensors = new Map<string, SourceTensor>();
    if (container.format === 'onnx') refuseNewer(container);
    const found = container.format === 'onnx' ? await findOnnxWeights(container.path) : undefined;
    for (const [name, entry] of container.tensors) {
      const known = found?.uses.get(name);
      const role = found ? (known?.role ?? 'other') : (expected.get(name) ?? guessRole(entry));
      const { transposed, rowAxes, fixed } = known ?? {};
      tensors.set(name, {
        entry,
        role,
        ...(transposed ? { transposed } : {}),
        ...(rowAxes === undefined ? {} : { rowAxes }),
        ...(fixed ? { fixed } : {}),
      });
    }
    const architecture = decoder?.config.architecture ?? container.metadata['graph'] ?? 'unknown';
    return { container, tensors, files, decoder, architecture, ...(found ? { reasons: found.reasons } : {}) };
  } catch (error) {
    await container.close();
    throw error;
  }
}

/** The IR version of ONNX 1.23, whose schema is read here: a later file may hold what would be lost or misread. */
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

function decoderOf(container: TensorContainer): SourceDecoder | undefined {
  if (container.format === 'onnx' || container.config === undefined) return undefined;
  const architecture = findArchitecture(container.config);
  return architecture && { architecture, config: architecture.readConfig(container.config) };
}

/** Role by shape and name, where no architecture says it. */
function guessRole({ name, shape, dtype }: TensorEntry): TensorRole {
  if (!floatDTypes.includes(dtype)) return 'other';
  if (shape.length < 2) return /norm/i.test(name) ? 'norm' : 'bias';
  if (/embed/i.test(name)) return 'embedding';
  if (/(^|\.)lm_head\./.test(name)) return 'head';
  return shape.length === 2 ? 'linear' : shape.length === 4 ? 'convolution' : 'other';
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
