import { byteLength } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import type { OutputFormat } from '../../../protocol/jobs';
import type { SourceDecoder } from '../../models/recognizeDecoder';
import type { PlannedEntry, PlannedLayer } from '../planned/plannedStore';
import type { PlannedLayout, PlannedTensor } from '../planned/plannedTensor';
import type { EncodedTensor, StoredTensor } from '../storage/storedTensor';
import { writeLanguageModel } from './languageModel';
import { writeOnnxCopy } from './onnxCopy';
import type { OutputWriter, RoundsLearned } from './outputWriter';
import { inlineLimit } from './pieceStore';
import { float32Bytes, outputBytes } from './sizes';

/** What tells one ONNX format from another. */
export interface OnnxFormat {
  readonly id: OutputFormat;
  readonly label: string;
  readonly summary: string;
  /** File name of a language model, inside `onnx/`, where it has compressed layers. */
  file(layers: readonly PlannedLayer[]): string;
  /** True if a model without any compressed weight has a place in this format: it is then `model.onnx`. */
  readonly holdsFloat?: boolean;
  readonly mixesWidths: boolean;
  /** As `OutputWriter.comparing`. */
  readonly comparing: number;
  /** True if layers that are not plain products are stored in another form. */
  readonly needsProducts?: boolean;
  /** True if the runtime holds all weights as float32 once loaded. */
  readonly unpacksAtLoad: boolean;
  refuses(layer: PlannedLayer): string | undefined;
  storedBits(layer: PlannedLayer, groupBits?: Uint8Array): number;
  readonly roundsLearned?: RoundsLearned;
  /** `linear`: every user is a product that a kernel of the form y = x W^T can take the place of. */
  store(tensor: PlannedTensor, entry: PlannedEntry, linear: boolean): EncodedTensor;
  bytesOf(layer: PlannedLayer): number;
  /** True if the runtime's default settings round the activations of this layer to int8. */
  roundsActivations(stored: StoredTensor, entry: PlannedEntry): boolean;
}

/** A writer of ONNX: language models are built from their config, ONNX models are rewritten. */
export function onnxWriter(format: OnnxFormat): OutputWriter {
  const { id, label, summary, mixesWidths, comparing } = format;
  return {
    id,
    label,
    summary,
    mixesWidths,
    comparing,

    check: (source, layers, { trained = false } = {}) => {
      if (source.container.format !== 'onnx' && source.decoder === undefined)
        throw new LoomweightError(
          'unsupported',
          source.notRunnable
            ? `The format ${id} needs a graph. ${source.notRunnable.message}`
            : `The format ${id} needs a graph; ${source.container.path} has only weights, and no graph can be built for its architecture. ` +
                `Use the format hf or archive, or give a model directory with config.json, or an ONNX model.`,
          { format: id, architecture: source.architecture },
        );
      if (layers.size === 0 && !format.holdsFloat && !trained)
        throw new LoomweightError(
          'invalid-argument',
          `The format ${id} stores compressed weights, but this method compresses none. Use the format hf, or onnx for a float ONNX model.`,
          { format: id },
        );
      for (const layer of layers.values()) {
        const reason = format.refuses(layer);
        if (reason) throw refusal(id, layer, reason);
      }
    },

    refuses: format.refuses,
    storedBits: format.storedBits,
    ...(format.roundsLearned ? { roundsLearned: format.roundsLearned } : {}),

    write: async (job) => {
      const { source, planned, note } = job;
      const compressed = planned.compressed().map((name) => planned.entry(name) as PlannedEntry);
      const expectedBytes = outputBytes(source, new Map(planned.entries().map((entry) => [entry.name, entry])), (layer) =>
        layer.layout.kind === 'plain' ? byteLength(layer.layout.dtype, layer.storedShape) : format.bytesOf(layer),
      );
      let integerActivations = false;
      const encode = async (name: string, linear = true): Promise<EncodedTensor> => {
        const entry = planned.entry(name) as PlannedEntry;
        const reason = format.refuses(entry);
        if (reason) throw refusal(id, entry, reason);
        const encoded = format.store(await planned.get(name), entry, linear);
        if (format.roundsActivations(encoded.stored, entry)) integerActivations = true;
        if (!linear && format.needsProducts)
          note(`'${name}' is stored for DequantizeLinear: the fast kernel does not support its operator.`);
        return encoded;
      };
      const written =
        source.container.format === 'onnx'
          ? await writeOnnxCopy(job, { file: 'model.onnx', encode, expectedBytes })
          : await writeLanguageModel(job, source.decoder as SourceDecoder, {
              file: compressed.length === 0 ? 'model.onnx' : format.file(compressed),
              encode,
              expectedBytes,
            });
      return { ...written, integerActivations, ...(format.unpacksAtLoad ? { loadedBytes: float32Bytes(source) } : {}) };
    },

    estimate: (source, layers) => {
      const bytes = outputBytes(source, layers, format.bytesOf);
      // A small model is built in memory: its constants, the encoded message and the buffer it is written from.
      return { bytes, extraMemory: bytes <= inlineLimit ? 3 * bytes : 0 };
    },
  };
}

function refusal(id: OutputFormat, { name, layout }: PlannedLayer, reason: string): LoomweightError {
  return new LoomweightError(
    layout.kind === 'grouped' && !layout.widthsByGroup ? 'invalid-argument' : 'unsupported',
    `Tensor '${name}': ${reason}.`,
    { tensor: name, layout, format: id },
  );
}

/** Bits and weights of the layers that have one whole width. */
export function commonBits(layers: readonly PlannedLayer[]): number {
  const weights = new Map<number, number>();
  for (const { layout } of layers)
    if (layout.kind === 'grouped') weights.set(layout.bits, (weights.get(layout.bits) ?? 0) + layout.rows * layout.columns);
  return [...weights].reduce((most, next) => (next[1] > most[1] ? next : most), [4, 0])[0];
}

/** True for a matrix of which single rows are looked up. */
export function isEmbedding({ role }: PlannedLayer): boolean {
  return role === 'embedding';
}

/** The refusal of a format that knows codes of one width only. */
export function codesOnly(format: OutputFormat, layout: PlannedLayout): string | undefined {
  if (layout.kind === 'sparse') return `the format ${format} cannot store sparse tensors; use onnx-packed or hf`;
  return undefined;
}
