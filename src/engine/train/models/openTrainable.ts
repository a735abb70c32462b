import { LoomweightError } from '../../../protocol/errors';
import { openContainer } from '../../models/openContainer';
import type { TrainingArrays } from './axisLengths';
import type { OpenTrainable } from './graphTrainable';
import { openDecoderTrainable } from './decoderModel';
import { openOnnxTrainable } from './onnxModel';
import { withScratchStart } from './scratchStart';

/** How a model is opened for training. */
export interface OpenTrainableOptions {
  /** Tokens of a window of text. */
  readonly window?: number;
  /** `scratch`: seeded random weights of the same shapes instead of the model's own. */
  readonly start?: 'trained' | 'scratch';
  /** Data that the model will be trained on: its arrays tell lengths that an ONNX file only names. */
  readonly arrays?: TrainingArrays;
  /** For `scratch`. Default 0. */
  readonly seed?: number;
}

/**
 * Opens a model for training: an ONNX file, or the weights of a decoder with its config (Hugging Face directory, GGUF).
 * Errors: `unsupported` for other models and for weights that training cannot hold; as `openContainer`.
 */
export async function openTrainable(model: string, options: OpenTrainableOptions = {}): Promise<OpenTrainable> {
  const container = await openContainer(model, { asHuggingFace: true });
  const trainable = await open(container, options).catch(async (error: unknown) => {
    await container.close();
    throw error;
  });
  return options.start === 'scratch' ? withScratchStart(trainable, options.seed ?? 0) : trainable;
}

async function open(container: Awaited<ReturnType<typeof openContainer>>, options: OpenTrainableOptions): Promise<OpenTrainable> {
  if (container.format === 'onnx') {
    const opened = await openOnnxTrainable(container.path, options.arrays);
    await container.close();
    return opened;
  }
  if (container.config !== undefined) return openDecoderTrainable(container, options.window);
  throw new LoomweightError(
    'unsupported',
    `Training requires an ONNX file or a model directory with config.json, but ${container.path} has only weights.`,
    { path: container.path },
  );
}
