import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { LoomweightError, throwIfCancelled } from '../../../protocol/errors';
import type { TensorContainer } from '../../formats/container';
import { openOnnx } from '../../formats/onnx/openOnnx';
import { writeOnnxModel } from '../../formats/onnx/writeOnnxModel';
import type { ConstantData } from '../../graph/types';
import type { Pieces, TensorBytes } from '../storage/matrixForm';
import type { EncodedTensor, StoredTensor } from '../storage/storedTensor';
import { digestOfBytes } from '../../compress/quantizeTensor';
import { ReusedBuffer } from '../../kernels/host/reusedBuffer';
import type { CompressSource, SourceDecoder } from '../../models/modelSource';
import type { ExportJob, ExportResult } from './exporter';
import { PieceStore } from './pieceStore';
import { StoredWeights, type StoredWeight } from './storedWeights';

/** How a language model is written in one of the ONNX formats. */
export interface LanguageModelOutput {
  /** File name inside `onnx/`. */
  readonly file: string;
  /** Plans and encodes one tensor. */
  encode(name: string): Promise<EncodedTensor>;
  /** Expected size of the weights in bytes. */
  readonly expectedBytes: number;
}

/** Bytes read from the source at a time for tensors that are copied. */
const copyChunk = 16 * 2 ** 20;

/** Where a compressed tensor lies in the output and what it must decode to. */
interface Expectation {
  readonly stored: StoredTensor;
  readonly pieces: readonly string[];
  readonly digest: string;
}

/**
 * Writes a decoder with Optimum's names and KV cache into `onnx/`, beside config and tokenizer. Tensors stream: one is in memory at a time, the rest is
 * in the data file (small models: in the ONNX file).
 */
export async function writeLanguageModel(job: ExportJob, decoder: SourceDecoder, output: LanguageModelOutput): Promise<ExportResult> {
  const { source, folder, signal } = job;
  await mkdir(join(folder, 'onnx'), { recursive: true });
  const path = join(folder, 'onnx', output.file);
  const store = await PieceStore.create(path, output.expectedBytes);
  const weights = new Map<string, StoredWeight>();
  const expectations = new Map<string, Expectation>();
  const untouched: string[] = [];
  let opset = 0;
  const storePieces = async (name: string, pieces: Pieces) => {
    const stored: Record<string, ConstantData> = {};
    let bytes = 0;
    for (const [piece, data] of Object.entries(pieces)) {
      await store.put(`${name}.${piece}`, data.dtype, data.shape, data.bytes);
      stored[piece] = store.get(`${name}.${piece}`)!;
      bytes += data.bytes.byteLength;
    }
    return { stored, bytes };
  };
  let writing = Promise.resolve();
  try {
    for (const { name, shape } of decoder.architecture.expectedTensors(decoder.config)) {
      throwIfCancelled(signal);
      const entry = source.container.tensors.get(name);
      if (!entry) throw missing(source, name);
      if (job.plan.has(name)) {
        const { pieces, digest, stored: tensor } = await output.encode(name);
        opset = Math.max(opset, tensor.opset);
        expectations.set(name, { stored: tensor, pieces: Object.keys(pieces), digest });
        // While these pieces are written the next tensor is planned.
        await writing;
        writing = storePieces(name, pieces).then(({ stored, bytes }) => {
          weights.set(name, { kind: 'compressed', stored: tensor, pieces: stored });
          job.stored(name, bytes);
        });
        writing.catch(() => undefined);
      } else {
        await writing;
        await store.put(name, entry.dtype, shape, chunksOf(source.container, name, entry.bytes));
        weights.set(name, { kind: 'plain', data: store.get(name)! });
        untouched.push(name);
      }
    }
    await writing;
    await store.finish();
  } catch (error) {
    await writing.catch(() => undefined);
    await store.abandon();
    throw error;
  }
  const graph = decoder.architecture.buildLanguageModel(decoder.config, new StoredWeights(weights));
  const opsets = { ...graph.opsets, '': Math.max(graph.opsets[''] ?? 0, opset) };
  await writeOnnxModel({ ...graph, opsets }, path, { externalData: 'never' });
  await writeCompanions(source, folder, store.external ? output.file : undefined);
  const codes = new ReusedBuffer((length) => new Uint8Array(length));
  return {
    primary: `onnx/${output.file}`,
    integerActivations: false,
    readWeights: async (name, target) => {
      const { stored, pieces } = expectations.get(name)!;
      const written = await openOnnx(path);
      try {
        return stored.decode(await readPieces(written, name, pieces), codes.take(stored.rows * stored.columns)).weights(target);
      } finally {
        await written.close();
      }
    },
    verifyBytes: (abort) => verifyBytes(path, source, expectations, untouched, codes, abort),
  };
}

/** Reads the finished file with the ordinary reader, decodes, compares. */
async function verifyBytes(
  path: string,
  source: CompressSource,
  expectations: ReadonlyMap<string, Expectation>,
  untouched: readonly string[],
  codes: ReusedBuffer<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<{ readonly tensors: number; readonly mismatches: readonly string[] }> {
  const written = await openOnnx(path);
  const mismatches: string[] = [];
  try {
    for (const [name, { stored, pieces, digest }] of expectations) {
      throwIfCancelled(signal);
      const read = await readPieces(written, name, pieces);
      const complete = pieces.every((piece) => read[piece] !== undefined);
      if (!complete || stored.decode(read, codes.take(stored.rows * stored.columns)).digest !== digest) mismatches.push(name);
    }
    for (const name of untouched) {
      throwIfCancelled(signal);
      const entry = written.tensors.get(name);
      const bytes = source.container.tensors.get(name)?.bytes ?? 0;
      if (entry?.bytes !== bytes || !(await sameBytes(written, source.container, name, bytes))) mismatches.push(name);
    }
    return { tensors: expectations.size + untouched.length, mismatches };
  } finally {
    await written.close();
  }
}

async function readPieces(
  written: TensorContainer,
  name: string,
  pieces: readonly string[],
): Promise<Readonly<Record<string, TensorBytes>>> {
  const read: Record<string, TensorBytes> = {};
  for (const piece of pieces) {
    const entry = written.tensors.get(`${name}.${piece}`);
    if (entry) read[piece] = { dtype: entry.dtype, shape: entry.shape, bytes: await written.read(entry.name) };
  }
  return read;
}

async function sameBytes(first: TensorContainer, second: TensorContainer, name: string, bytes: number): Promise<boolean> {
  for (let offset = 0; offset < bytes; offset += copyChunk) {
    const range = { offset, length: Math.min(copyChunk, bytes - offset) };
    if (digestOfBytes(await first.read(name, range)) !== digestOfBytes(await second.read(name, range))) return false;
  }
  return true;
}

async function* chunksOf(container: TensorContainer, name: string, bytes: number): AsyncIterable<Uint8Array> {
  for (let offset = 0; offset < bytes; offset += copyChunk)
    yield await container.read(name, { offset, length: Math.min(copyChunk, bytes - offset) });
}

/** Copies tokenizer and friends; config.json gets the key by which transformers.js learns of a data file. */
async function writeCompanions(source: CompressSource, folder: string, externalFile: string | undefined): Promise<void> {
  for (const file of source.container.companions ?? [])
    if (basename(file) !== 'config.json') await copyFile(file, join(folder, basename(file)));
  for (const [name, text] of source.container.generatedCompanions ?? [])
    if (name !== 'config.json') await writeFile(join(folder, name), text);
  const config = source.container.config ?? {};
  const known = config['transformers.js_config'];
  const settings = {
    ...(typeof known === 'object' && known !== null ? known : {}),
    ...(externalFile === undefined ? {} : { use_external_data_format: { [externalFile]: 1 } }),
  };
  const written = Object.keys(settings).length === 0 ? config : { ...config, 'transformers.js_config': settings };
  await writeFile(join(folder, 'config.json'), `${JSON.stringify(written, undefined, 2)}\n`);
}

function missing(source: CompressSource, name: string): LoomweightError {
  return new LoomweightError(
    'malformed-file',
    `${source.container.path} lacks the tensor '${name}' that its config asks for. Check that all shards are there.`,
    { tensor: name, path: source.container.path },
  );
}
