import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LoomweightError, throwIfCancelled } from '../../../protocol/errors';
import type { LayerLayout } from '../../../protocol/report';
import { writeOnnxModel } from '../../formats/onnx/writeOnnxModel';
import type { ConstantData } from '../../graph/types';
import type { ModelSource } from '../../models/modelSource';
import type { SourceDecoder } from '../../models/recognizeDecoder';
import { fingerprintOf } from '../planned/fingerprint';
import type { EncodedTensor } from '../storage/storedTensor';
import { copyCompanions, valueTensor } from './copyTensors';
import { onnxReader, type StoredPlace } from './onnxReader';
import type { WriteJob, WrittenOutput } from './outputWriter';
import { PieceStore } from './pieceStore';
import { StoredWeights, type StoredWeight } from './storedWeights';

/** How a language model is written in one of the ONNX formats. */
export interface LanguageModelOutput {
  /** File name inside `onnx/`. */
  readonly file: string;
  /** Encodes one planned tensor. */
  encode(name: string): Promise<EncodedTensor>;
  /** Expected size of the weights in bytes. */
  readonly expectedBytes: number;
}

/**
 * Writes a decoder with Optimum's names and KV cache into `onnx/`, beside config and tokenizer. Tensors stream: one is in memory at a time, the rest is
 * in the data file (small models: in the ONNX file).
 */
export async function writeLanguageModel(job: WriteJob, decoder: SourceDecoder, output: LanguageModelOutput): Promise<WrittenOutput> {
  const { source, folder, signal, planned } = job;
  await mkdir(join(folder, 'onnx'), { recursive: true });
  const path = join(folder, 'onnx', output.file);
  const store = await PieceStore.create(path, output.expectedBytes);
  const weights = new Map<string, StoredWeight>();
  const places = new Map<string, StoredPlace>();
  const values: string[] = [];
  let opset = 0;
  const storePieces = async (name: string, { pieces, stored: tensor }: EncodedTensor) => {
    const constants: Record<string, ConstantData> = {};
    let bytes = 0;
    for (const [piece, data] of Object.entries(pieces)) {
      await store.put(`${name}.${piece}`, data.dtype, data.shape, data.bytes);
      constants[piece] = store.get(`${name}.${piece}`)!;
      bytes += data.bytes.byteLength;
    }
    weights.set(name, { kind: 'compressed', stored: tensor, pieces: constants });
    job.stored(name, bytes);
  };
  let writing = Promise.resolve();
  try {
    for (const { name, shape } of decoder.architecture.expectedTensors(decoder.config)) {
      throwIfCancelled(signal);
      if (!source.container.tensors.has(name)) throw missing(source, name);
      if (planned.isCompressed(name)) {
        const encoded = await output.encode(name);
        opset = Math.max(opset, encoded.stored.opset);
        const pieces = Object.keys(encoded.pieces);
        places.set(name, { stored: encoded.stored, pieces: Object.fromEntries(pieces.map((piece) => [piece, `${name}.${piece}`])) });
        // While these pieces are written the next tensor is encoded.
        await writing;
        writing = storePieces(name, encoded);
        writing.catch(() => undefined);
      } else {
        await writing;
        const tensor = valueTensor(source, planned, name);
        await store.put(name, tensor.dtype, shape, tensor.chunks());
        weights.set(name, { kind: 'plain', data: store.get(name)! });
        values.push(name);
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
  return {
    primary: `onnx/${output.file}`,
    integerActivations: false,
    layouts: layoutsOf(places),
    values,
    expected: fingerprintOf,
    open: () => onnxReader(path, places),
  };
}

/** What a report says of stored tensors. */
export function layoutsOf(places: ReadonlyMap<string, StoredPlace>): ReadonlyMap<string, LayerLayout> {
  return new Map(
    [...places].map(([name, { stored, pieces, transposed }]) => {
      const { form, rows, columns, details } = stored;
      return [name, { form, rows, columns, ...(transposed ? { transposed } : {}), pieces, details }] as const;
    }),
  );
}

/** Copies tokenizer and friends; config.json gets the key by which transformers.js learns of a data file. */
async function writeCompanions(source: ModelSource, folder: string, externalFile: string | undefined): Promise<void> {
  await copyCompanions(source, folder, ['config.json']);
  const config = source.container.config ?? {};
  const known = config['transformers.js_config'];
  const settings = {
    ...(typeof known === 'object' && known !== null ? known : {}),
    ...(externalFile === undefined ? {} : { use_external_data_format: { [externalFile]: 1 } }),
  };
  const written = Object.keys(settings).length === 0 ? config : { ...config, 'transformers.js_config': settings };
  await writeFile(join(folder, 'config.json'), `${JSON.stringify(written, undefined, 2)}\n`);
}

function missing(source: ModelSource, name: string): LoomweightError {
  return new LoomweightError(
    'malformed-file',
    `${source.container.path} has no tensor '${name}', which its config requires. Check that no shard is missing.`,
    { tensor: name, path: source.container.path },
  );
}
