import { join } from 'node:path';
import { learnedBits, dequantizeLearned } from '../../formats/archive/dequantizeLearned';
import type { LearnedTensor } from '../../formats/archive/learnedTensor';
import { LoomweightError } from '../../../protocol/errors';
import type { OutputFormat } from '../../../protocol/jobs';
import { decodeToFloat32 } from '../../formats/decode';
import { editModel } from '../../formats/onnx/editModel';
import { openOnnx } from '../../formats/onnx/openOnnx';
import { writeArchive } from '../../outputs/writers/archive';
import type { ExportResult } from '../../outputs/writers/exporter';
import { huggingFace } from '../../outputs/writers/huggingFace';
import { writeLanguageModel } from '../../outputs/writers/languageModel';
import { writeOnnxCopy } from '../../outputs/writers/onnxCopy';
import { float32Bytes, outputBytes } from '../../outputs/writers/sizes';
import { dequantizeLinear } from '../../outputs/storage/dequantizeLinear';
import { storeDequantized } from '../../outputs/storage/learnedDequantize';
import { storeLearned } from '../../outputs/storage/learnedPacked';
import { matMulNBits } from '../../outputs/storage/matMulNBits';
import { storeMatrix, type EncodedTensor } from '../../outputs/storage/storedTensor';
import { transposeBack } from '../../kernels/host/transpose';
import type { CompressPlan } from '../plan';
import { digestOfBytes } from '../quantizeTensor';
import type { CompressSource } from '../../models/modelSource';
import { snapWidths } from './snapWidths';

/** What a writer is given: the source shows the trained values. */
export interface LearnedJob {
  readonly source: CompressSource;
  readonly learned: ReadonlyMap<string, LearnedTensor>;
  readonly rest: ReadonlyMap<string, Float32Array>;
  readonly plan: CompressPlan;
  readonly folder: string;
  readonly signal: AbortSignal | undefined;
  readonly note: (text: string) => void;
  /** Tells how many bytes a learned tensor takes. */
  readonly stored: (name: string, bytes: number) => void;
  /** Tells that a tensor was rounded anew. */
  readonly snapped: (name: string, bits: number, relativeError: number) => void;
}

/** How learned widths are written in one format. */
export interface LearnedWriter {
  /** True where every tensor keeps the type that it has in the source. */
  readonly keepsTypes: boolean;
  /** True where weights are written dequantised. */
  readonly dequantised: boolean;
  /** True where the output runs with the kernels of the float model, so that its time says nothing. */
  readonly runsAsFloat: boolean;
  /** Throws `unsupported` before anything is written. */
  check(source: CompressSource, learned: ReadonlyMap<string, LearnedTensor>): void;
  write(job: LearnedJob): Promise<ExportResult>;
}

/** A writer for every output format. */
export const learnedWriters: Readonly<Record<OutputFormat, LearnedWriter>> = {
  archive: {
    keepsTypes: false,
    dequantised: false,
    runsAsFloat: true,
    check: () => undefined,
    write: ({ source, learned, rest, folder, signal, stored }) =>
      writeArchive({
        source,
        folder,
        signal,
        packed: (name) => learned.has(name),
        moved: new Set(rest.keys()),
        add: async (writer, name) => {
          const tensor = learned.get(name) as LearnedTensor;
          stored(name, await writer.addLearned(tensor));
          return digestOfLearned(tensor);
        },
        digest: async (archive, name) => digestOfLearned(await archive.readLearned(name)),
      }),
  },
  hf: {
    keepsTypes: true,
    dequantised: true,
    runsAsFloat: true,
    check: (source) => {
      if (source.container.format !== 'onnx') huggingFace.check(source, new Map());
    },
    write: (job) => (job.source.container.format === 'onnx' ? writeDequantizedOnnx(job) : writeHuggingFace(job)),
  },
  'onnx-packed': {
    keepsTypes: false,
    dequantised: false,
    runsAsFloat: false,
    check: (source) => needsGraph('onnx-packed', source),
    write: async (job) => ({
      ...(await writeGraph(job, 'model.onnx', (tensor) => storeLearned(tensor))),
      loadedBytes: float32Bytes(job.source),
    }),
  },
  onnx: {
    keepsTypes: false,
    dequantised: false,
    runsAsFloat: false,
    check: (source, learned) => {
      needsGraph('onnx', source);
      const mixed = [...learned.values()].filter(({ bits }) => bits.some((width) => width !== bits[0] || width === 0));
      if (mixed.length > 0)
        throw new LoomweightError(
          'unsupported',
          `The format onnx has one width for a whole tensor; ${mixed.length} of ${learned.size} tensors have groups of several widths, '${mixed[0]?.name}' first. Take onnx-packed, archive or hf, or onnx-fast, which rounds anew.`,
          { format: 'onnx', tensors: mixed.map(({ name }) => name) },
        );
    },
    write: (job) => writeGraph(job, 'model_quantized.onnx', storeDequantized),
  },
  'onnx-fast': {
    keepsTypes: false,
    dequantised: false,
    runsAsFloat: false,
    check: (source) => needsGraph('onnx-fast', source),
    write: writeSnapped,
  },
};

function needsGraph(format: OutputFormat, source: CompressSource): void {
  if (source.container.format === 'onnx' || source.decoder) return;
  throw new LoomweightError(
    'unsupported',
    `The format ${format} needs a graph; ${source.container.path} has weights only and its architecture is not one of those that can be built. Take archive or hf.`,
    { format, architecture: source.architecture },
  );
}

/** Writes a language model, or rewrites an ONNX model, with every learned tensor in a form. */
async function writeGraph(
  job: LearnedJob,
  file: string,
  encode: (tensor: LearnedTensor, linear: boolean) => EncodedTensor,
  plan = job.plan,
): Promise<ExportResult> {
  const { source, learned } = job;
  const encodeByName = (name: string, linear = true) => Promise.resolve(encode(learned.get(name) as LearnedTensor, linear));
  const expectedBytes = outputBytes(source, plan, ({ tensor }) => Math.ceil(learnedBits(learned.get(tensor.name) as LearnedTensor) / 8));
  const exportJob = {
    ...job,
    plan,
    quantize: (name: string) => Promise.reject(new LoomweightError('internal', `'${name}' has learned widths and is not planned again.`)),
  };
  return source.container.format === 'onnx'
    ? writeOnnxCopy(exportJob, { file: 'model.onnx', encode: encodeByName, expectedBytes })
    : writeLanguageModel(exportJob, source.decoder!, { file, encode: encodeByName, expectedBytes });
}

/** Fast kernels: every tensor rounded anew to a width that they have. Tensors that no product takes stay float. */
async function writeSnapped(job: LearnedJob): Promise<ExportResult> {
  const { source, learned, note } = job;
  const onnx = source.container.format === 'onnx';
  const fits = (name: string) =>
    onnx
      ? ['linear', 'convolution'].includes(source.tensors.get(name)?.role ?? '')
      : (source.tensors.get(name)?.entry.shape.length ?? 0) === 2;
  const left = [...learned.keys()].filter((name) => !fits(name));
  if (left.length > 0) note(`No fast kernel has a place for ${left.join(', ')}: stored as float.`);
  const plan = new Map([...job.plan].filter(([name]) => fits(name)));
  const widths = new Map<number, number>();
  let exact = true;
  const result = await writeGraph(
    job,
    `model_q${commonWidth(learned, plan)}.onnx`,
    (tensor, linear) => {
      const { matrix, bits, relativeError } = snapWidths(tensor);
      job.snapped(tensor.name, bits, relativeError);
      widths.set(bits, (widths.get(bits) ?? 0) + matrix.codes.length);
      if (bits !== 4) exact = false;
      note(
        `'${tensor.name}': ${meanText(tensor)} bits learned, ${bits} bits in groups of 32 written, relative difference ${relativeError.toPrecision(2)}.`,
      );
      return storeMatrix(linear ? matMulNBits : dequantizeLinear, matrix);
    },
    plan,
  );
  return { ...result, integerActivations: !exact || onnx };
}

function meanText(tensor: LearnedTensor): string {
  return ((learnedBits(tensor) - 72 - tensor.bitsOfWidth * tensor.bits.length) / Math.max(1, tensor.levels.length)).toFixed(2);
}

/** The kernel width that most weights get, for the file's name. */
function commonWidth(learned: ReadonlyMap<string, LearnedTensor>, plan: CompressPlan): number {
  const weights = new Map<number, number>([[4, 0]]);
  for (const name of plan.keys()) {
    const tensor = learned.get(name) as LearnedTensor;
    const { bits } = snapWidths(tensor);
    weights.set(bits, (weights.get(bits) ?? 0) + tensor.levels.length);
  }
  return [...weights].reduce((most, next) => (next[1] > most[1] ? next : most))[0];
}

/** A Hugging Face directory of the trained values: to its writer they are a model to be copied. */
async function writeHuggingFace(job: LearnedJob): Promise<ExportResult> {
  const result = await huggingFace.write({
    ...job,
    plan: new Map(),
    quantize: (name) => Promise.reject(new LoomweightError('internal', `'${name}' has learned widths and is not planned again.`)),
  });
  for (const name of job.learned.keys()) job.stored(name, job.source.tensors.get(name)!.entry.bytes);
  return result;
}

/** The ONNX model itself with dequantised weights in the types that it has. */
async function writeDequantizedOnnx({ source, learned, folder, stored }: LearnedJob): Promise<ExportResult> {
  const path = join(folder, 'model.onnx');
  const editor = await editModel(source.container.path);
  try {
    await editor.write(path);
  } finally {
    await editor.close();
  }
  for (const name of learned.keys()) stored(name, source.tensors.get(name)!.entry.bytes);
  return {
    primary: 'model.onnx',
    integerActivations: false,
    readWeights: async (name, target) => {
      const written = await openOnnx(path);
      try {
        const { dtype } = written.tensors.get(name)!;
        const values = decodeToFloat32(dtype, await written.read(name));
        const tensor = learned.get(name) as LearnedTensor;
        const result = target ?? new Float32Array(values.length);
        if (tensor.transposed) transposeBack(values, tensor.shape[1] as number, 0, tensor.shape[0] as number, result);
        else result.set(values);
        return result;
      } finally {
        await written.close();
      }
    },
    verifyBytes: async () => {
      const written = await openOnnx(path);
      const mismatches: string[] = [];
      let tensors = 0;
      try {
        for (const [name, { entry }] of source.tensors) {
          if (entry.dtype === 'string' || !written.tensors.has(name)) continue;
          tensors += 1;
          if (digestOfBytes(await written.read(name)) !== digestOfBytes(await source.container.read(name))) mismatches.push(name);
        }
        return { tensors, mismatches };
      } finally {
        await written.close();
      }
    },
  };
}

function digestOfLearned(tensor: LearnedTensor): string {
  return [tensor.levels, tensor.bits, dequantizeLearned(tensor)]
    .map((array) => digestOfBytes(new Uint8Array(array.buffer, array.byteOffset, array.byteLength)))
    .join(' ');
}
