import path from 'node:path';
import { LoomweightError } from '../../protocol/errors';
import { elementCount } from '../../protocol/dtypes';
import { readOnnxSettings } from '../evaluate/onnxLanguageModel';
import { loadedBytesOf } from '../evaluate/planOnnxFile';
import { processBytes, tokenizerBytes } from '../evaluate/textMemory';
import type { TensorContainer } from '../formats/container';
import { readJsonObject } from '../formats/files/readText';
import { checkWeights, containerWeights } from '../models/decoderWeights';
import { openContainer } from '../models/openContainer';
import { runnableDecoder } from '../models/recognizeDecoder';
import type { WorkContext } from '../runtime/workContext';
import { readChatTemplate } from '../text/chatTemplate';
import { openTokenizer } from '../text/openTokenizer';
import type { TextTokenizer } from '../text/tokenizer';
import type { Drawing } from './advance';
import { DecoderGenerator } from './decoderGenerator';
import { generationWeightMemory } from './generationWeights';
import type { TokenGenerator } from './generator';
import { checkLanguageModel, OnnxGenerator } from './onnxGenerator';

/** An opened language model that can write text. The caller closes it. */
export interface TextModel {
  readonly container: TensorContainer;
  readonly tokenizer: TextTokenizer;
  /** A Jinja template that makes a conversation of a prompt; undefined for models that are not made for that. */
  readonly chatTemplate: string | undefined;
  readonly contextLength: number;
  /** Undefined if the files beside an ONNX graph do not say it. */
  readonly vocabularySize: number | undefined;
  readonly beginning: { readonly id: number; readonly source: string } | undefined;
  /** Tokens that end a text. */
  readonly ends: readonly number[];
  readonly notes: readonly string[];
  /** Bytes of the keys and values of one token. */
  readonly cacheBytes: number;
  /** Largest resident size of the process while `batch` sequences of `length` tokens are generated. */
  memory(batch: number, length: number): Promise<number>;
  generator(drawing: Omit<Drawing, 'vocabulary'>, context: Pick<WorkContext, 'runtime' | 'signal'>): Promise<TokenGenerator>;
  close(): Promise<void>;
}

/** What the kinds of models differ in. */
type Parts = Pick<TextModel, 'contextLength' | 'vocabularySize' | 'notes' | 'cacheBytes' | 'generator'> & {
  readonly folders: readonly string[];
  readonly bosTokenId: number | undefined;
  readonly eosTokenIds: readonly number[];
  readonly weightMemory: () => Promise<number>;
};

/** Opens a model for generation: a decoder whose weights can be read (Hugging Face directory, GGUF, archive), or an ONNX language model. Errors: those of opening, `unsupported`. */
export async function openTextModel(model: string): Promise<TextModel> {
  const container = await openContainer(model, { asHuggingFace: true });
  try {
    const parts = container.format === 'onnx' ? await onnxParts(container) : await decoderParts(container);
    const tokenizer = await openTokenizer(parts.folders, container);
    const { bosTokenId, contextLength, vocabularySize, notes, cacheBytes, generator } = parts;
    return {
      container,
      contextLength,
      vocabularySize,
      notes,
      cacheBytes,
      generator,
      beginning: tokenizer.beginning(bosTokenId),
      ends: [...new Set([...parts.eosTokenIds, ...(await generationEnds(parts.folders))])],
      memory: async (batch, length) => {
        const logits = 4 * batch * (vocabularySize ?? 32_000);
        // Present and past of one block at a time in the runtime, and both of all blocks on the way from run to run.
        const cache = 4 * batch * length * cacheBytes;
        return (
          processBytes +
          (await tokenizerBytes(parts.folders, container.generatedCompanions)) +
          (await parts.weightMemory()) +
          cache +
          8 * logits +
          48e6
        );
      },
      tokenizer,
      chatTemplate: await readChatTemplate(parts.folders, tokenizer),
      close: () => container.close(),
    };
  } catch (error) {
    await container.close();
    throw error;
  }
}

async function decoderParts(container: TensorContainer): Promise<Parts> {
  if (container.config === undefined)
    throw new LoomweightError(
      'unsupported',
      `Generating requires a model directory with config.json, an ONNX language model or a GGUF file, but ${container.path} has only weights.`,
      { path: container.path },
    );
  const { architecture, config, notes } = await runnableDecoder(container);
  checkWeights(container, architecture.expectedTensors(config));
  return {
    contextLength: config.contextLength,
    vocabularySize: config.vocabularySize,
    notes,
    folders: [container.format === 'hugging-face' ? container.path : path.dirname(container.path)],
    bosTokenId: config.bosTokenId,
    eosTokenIds: config.eosTokenIds,
    weightMemory: () => Promise.resolve(generationWeightMemory(config)),
    cacheBytes: 8 * config.layers * config.keyValueHeads * config.headSize,
    generator: (drawing, { runtime, signal }) =>
      DecoderGenerator.create({
        config,
        weights: containerWeights(container),
        runtime,
        signal,
        drawing: { ...drawing, vocabulary: config.vocabularySize },
      }),
  };
}

async function onnxParts(container: TensorContainer): Promise<Parts> {
  checkLanguageModel(container);
  const { folders, contextLength, bosTokenId, vocabularySize, layers = 16, hiddenSize = 1024 } = await readOnnxSettings(container);
  const fileBytes = [...container.tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  return {
    contextLength,
    vocabularySize,
    notes: ['the ONNX graph runs as it is in the file, once for every token'],
    folders,
    bosTokenId,
    eosTokenIds: await endsOf(folders, 'config.json'),
    // While the runtime prepares a model, the file's bytes, its tensors and their rearranged copies exist at the same time.
    weightMemory: async () => 2 * fileBytes + 2 * Math.max(fileBytes, await loadedBytesOf(container, fileBytes)),
    cacheBytes: 8 * layers * hiddenSize,
    generator: (drawing, { runtime }) => OnnxGenerator.create({ container, contextLength, drawing, runtime }),
  };
}

/** End tokens that only generation_config.json names: those of the turns of a chat. */
function generationEnds(folders: readonly string[]): Promise<readonly number[]> {
  return endsOf(folders, 'generation_config.json');
}

async function endsOf(folders: readonly string[], file: string): Promise<readonly number[]> {
  for (const folder of folders) {
    const config = await readJsonObject(path.join(folder, file)).catch((error: unknown) => {
      if (LoomweightError.is(error, 'not-found')) return undefined;
      throw error;
    });
    if (config === undefined) continue;
    const ids: readonly unknown[] = [config['eos_token_id']].flat();
    return ids.filter((id): id is number => Number.isSafeInteger(id) && (id as number) >= 0);
  }
  return [];
}

/** Bytes of the weights on disk, for the time that reading takes. */
export function weightBytes({ tensors }: TensorContainer): { readonly bytes: number; readonly parameters: number } {
  let [bytes, parameters] = [0, 0];
  for (const tensor of tensors.values()) {
    bytes += tensor.bytes;
    parameters += elementCount(tensor.shape);
  }
  return { bytes, parameters };
}
