import { LoomweightError } from '../../../protocol/errors';
import type { OutputFormat } from '../../../protocol/jobs';
import { dequantizeLinear } from '../storage/dequantizeLinear';
import type { MatrixForm, MatrixLayout } from '../storage/matrixForm';
import { storeMatrix, type EncodedTensor } from '../storage/storedTensor';
import type { CompressPlan, TensorPlan } from '../../compress/plan';
import { groupingOf } from '../../compress/quantizers/parameters';
import type { QuantizedMatrix } from '../../compress/quantizers/quantizer';
import type { SourceDecoder } from '../../models/modelSource';
import type { Exporter } from './exporter';
import { inlineLimit } from './pieceStore';
import { writeLanguageModel } from './languageModel';
import { writeOnnxCopy } from './onnxCopy';
import { float32Bytes, formBits, mixedFormBits, outputBytes } from './sizes';

/** What tells one ONNX format from another. */
export interface OnnxFormat {
  readonly id: OutputFormat;
  readonly label: string;
  readonly summary: string;
  /** File name of a language model, inside `onnx/`; the plan is not empty. */
  file(plan: CompressPlan): string;
  /** True where a model without any compressed weight has a place in this format: it is then `model.onnx`. */
  readonly holdsFloat?: boolean;
  formFor(plan: TensorPlan): MatrixForm;
  /** Stores a matrix whose groups have different widths; absent where the format cannot. */
  storeMixed?(matrix: QuantizedMatrix & { readonly groupBits: Uint8Array }): EncodedTensor;
  bytesOf(plan: TensorPlan): number;
  /** True where the runtime holds all weights as float32 once loaded. */
  readonly unpacksAtLoad: boolean;
  /** True where the runtime's default settings round activations to int8. */
  integerActivations(plan: CompressPlan): boolean;
}

/** An exporter for ONNX: language models are built from their config, ONNX models are rewritten. */
export function onnxExporter(format: OnnxFormat): Exporter {
  const { id, label, summary } = format;
  return {
    id,
    label,
    summary,

    check: (source, plan) => {
      if (source.container.format !== 'onnx' && source.decoder === undefined)
        throw new LoomweightError(
          'unsupported',
          `The format ${id} needs a graph; ${source.container.path} has weights only and its architecture is not one of those that can be built. ` +
            `Take the format hf, or give a model directory with config.json, or an ONNX model.`,
          { format: id, architecture: source.architecture },
        );
      if (plan.size === 0 && !format.holdsFloat)
        throw new LoomweightError(
          'invalid-argument',
          `The format ${id} stores compressed weights, and this method compresses none. Take the format hf, or onnx for a float ONNX model.`,
          { format: id },
        );
      for (const planned of plan.values()) {
        const reason = format.formFor(planned).refuse(layoutOf(planned));
        if (reason)
          throw new LoomweightError('invalid-argument', `Tensor '${planned.tensor.name}': ${reason}.`, {
            tensor: planned.tensor.name,
            parameters: planned.parameters,
            format: id,
          });
      }
    },

    refuses: (planned) => format.formFor(planned).refuse(layoutOf(planned)),

    storedBits: (planned) => formBits(format.formFor(planned), layoutOf(planned)),

    ...(format.storeMixed === undefined
      ? {}
      : { mixedBits: (planned: TensorPlan, groupBits: Uint8Array) => mixedFormBits(format.storeMixed!, layoutOf(planned), groupBits) }),

    write: async (job) => {
      const expectedBytes = outputBytes(job.source, job.plan, format.bytesOf);
      const encode = async (name: string, linear = true): Promise<EncodedTensor> => {
        const matrix = await job.quantize(name);
        if (hasMixedWidths(matrix)) {
          if (format.storeMixed) return format.storeMixed(matrix);
          throw mixedWidthsRefused(id, name);
        }
        const chosen = format.formFor(job.plan.get(name) as TensorPlan);
        const form = chosen.dense || linear ? chosen : dequantizeLinear;
        if (form !== chosen) job.note(`'${name}' is stored for DequantizeLinear: the fast kernel has no form for its operator.`);
        return storeMatrix(form, matrix);
      };
      const written =
        job.source.container.format === 'onnx'
          ? await writeOnnxCopy(job, { file: 'model.onnx', encode, expectedBytes })
          : await writeLanguageModel(job, job.source.decoder as SourceDecoder, {
              file: job.plan.size === 0 ? 'model.onnx' : format.file(job.plan),
              encode,
              expectedBytes,
            });
      return {
        ...written,
        integerActivations: job.plan.size > 0 && format.integerActivations(job.plan),
        ...(format.unpacksAtLoad ? { loadedBytes: float32Bytes(job.source) } : {}),
      };
    },

    estimate: (source, plan) => {
      const bytes = outputBytes(source, plan, format.bytesOf);
      // A small model is built in memory: its constants, the encoded message and the buffer it is written from.
      return { bytes, extraMemory: bytes <= inlineLimit ? 3 * bytes : 0 };
    },
  };
}

function hasMixedWidths(matrix: QuantizedMatrix): matrix is QuantizedMatrix & { readonly groupBits: Uint8Array } {
  return matrix.groupBits !== undefined;
}

/** The error of a format whose kernels have one width for a matrix. */
export function mixedWidthsRefused(id: OutputFormat, name: string): LoomweightError {
  return new LoomweightError(
    'unsupported',
    `The format ${id} has one width for a whole tensor, and the groups of '${name}' have several. Take onnx-packed, archive or hf, or decide widths for whole tensors.`,
    { tensor: name, format: id },
  );
}

/** Layout that a plan will have, from its parameters. */
export function layoutOf(plan: TensorPlan): MatrixLayout {
  const [rows, columns] = plan.tensor.shape;
  const { granularity, groupSize } = groupingOf(rows, columns, plan.parameters);
  return {
    rows,
    columns,
    bits: Number(plan.parameters['bits']),
    groupSize,
    granularity,
    symmetric: plan.parameters['symmetric'] === true,
    scaleDType: plan.parameters['scales'] === 'float32' ? 'float32' : 'float16',
  };
}

/** The width that most weights have. */
export function commonBits(plan: CompressPlan): number {
  const weights = new Map<number, number>();
  for (const { tensor, parameters } of plan.values()) {
    const bits = Number(parameters['bits']);
    weights.set(bits, (weights.get(bits) ?? 0) + tensor.shape[0] * tensor.shape[1]);
  }
  return [...weights].reduce((most, next) => (next[1] > most[1] ? next : most))[0];
}

/** True for a matrix of which single rows are looked up. */
export function isEmbedding(plan: TensorPlan): boolean {
  return plan.tensor.role === 'embedding';
}
