import path from 'node:path';
import { runnableDecoder } from '../models/recognizeDecoder';
import { LoomweightError } from '../../protocol/errors';
import type { EvaluateSpec } from '../../protocol/jobs';
import type { TensorContainer } from '../formats/container';
import { readText } from '../formats/files/readText';
import { checkTokens } from '../text/checkTokens';
import { openTokenizer } from '../text/openTokenizer';
import { cutWindows, type TextWindows } from '../text/windows';
import { checkWeights, containerWeights } from '../models/decoderWeights';
import type { WorkContext } from '../runtime/workContext';
import { OnnxLanguageModel, readOnnxSettings } from './onnxLanguageModel';
import { scoreDecoder } from './scoreDecoder';
import { planOnnx } from './planOnnxFile';
import { planScoring } from './scoringPlan';
import { encodedTextBytes } from './textMemory';

/** What scoring a text gives, before it becomes a report. */
export interface TextScore {
  /** Mean loss in nats per scored token. */
  readonly loss: number;
  readonly tokens: number;
  readonly windows: number;
  readonly window: number;
  readonly choices: readonly string[];
  /** Reading and running the weights, without opening the model, encoding the text and preparing an ONNX graph. */
  readonly scoringSeconds: number;
}

/** The default window is at most this long: most models were not trained on longer ones. */
const largestDefaultWindow = 2048;

/**
 * Perplexity's protocol: the text is encoded whole without special tokens and cut into windows; for each the model reads BOS
 * and the window's tokens but the last, and all its tokens are predicted; without a BOS the first is not scored.
 */
export async function evaluateText(container: TensorContainer, spec: EvaluateSpec, context: WorkContext): Promise<TextScore> {
  return container.format === 'onnx' ? scoreOnnx(container, spec, context) : scoreWeights(container, spec, context);
}

async function scoreWeights(container: TensorContainer, spec: EvaluateSpec, context: WorkContext): Promise<TextScore> {
  if (container.config === undefined)
    throw new LoomweightError(
      'unsupported',
      `Evaluating on text requires a model directory with config.json, an ONNX language model or a GGUF file, but ${container.path} has only weights.`,
      { path: container.path },
    );
  const { architecture, config, notes } = await runnableDecoder(container);
  checkWeights(container, architecture.expectedTensors(config));
  const folder = container.format === 'hugging-face' ? container.path : path.dirname(container.path);
  const { windows, bos, choices } = await prepareText(
    [folder],
    spec,
    config.contextLength,
    config.bosTokenId,
    config.vocabularySize,
    container,
  );
  const fixedBytes = await encodedTextBytes([folder], spec.text as string, container.generatedCompanions);
  const plan = planScoring(config, { ...windows, fixedBytes }, context.memoryLimit);
  const started = performance.now();
  const { loss, tokens } = await scoreDecoder({ weights: containerWeights(container), config, windows, bos, plan }, context);
  const streamed = plan.keepWeights ? [] : ['weights are read block by block because of the memory limit'];
  return {
    scoringSeconds: (performance.now() - started) / 1000,
    loss: loss / tokens,
    tokens,
    windows: windows.count,
    window: windows.window,
    choices: [...choices, ...streamed, ...notes],
  };
}

async function scoreOnnx(container: TensorContainer, spec: EvaluateSpec, context: WorkContext): Promise<TextScore> {
  const settings = await readOnnxSettings(container);
  const { windows, bos, choices } = await prepareText(
    settings.folders,
    spec,
    settings.contextLength,
    settings.bosTokenId,
    settings.vocabularySize,
  );
  const { provider } = context.runtime.environment;
  const plan = await planOnnx(container, settings, { spec, ...windows }, { provider, memoryLimit: context.memoryLimit });
  const model = await OnnxLanguageModel.load(container, context, plan.dequantize);
  try {
    const started = performance.now();
    const { loss, tokens } = await model.score(windows, bos, plan.windowsPerRun, context);
    return {
      scoringSeconds: (performance.now() - started) / 1000,
      loss: loss / tokens,
      tokens,
      windows: windows.count,
      window: windows.window,
      choices: [...choices, ...plan.choices],
    };
  } finally {
    await model.release();
  }
}

async function prepareText(
  folders: readonly string[],
  spec: EvaluateSpec,
  contextLength: number,
  configBos: number | undefined,
  vocabularySize: number | undefined,
  container?: TensorContainer,
): Promise<{ readonly windows: TextWindows; readonly bos: number | undefined; readonly choices: readonly string[] }> {
  const window = spec.window ?? Math.min(contextLength, largestDefaultWindow);
  if (window > contextLength)
    throw new LoomweightError(
      'invalid-argument',
      `A window of ${window} tokens exceeds the model's context of ${contextLength}. Use a smaller --window.`,
      { window, contextLength },
    );
  const tokenizer = await openTokenizer(folders, container);
  const text = await readText(spec.text as string);
  const ids = tokenizer.encode(text);
  if (vocabularySize !== undefined) checkTokens(ids, vocabularySize);
  const windows = cutWindows(ids, window, spec.limit);
  const beginning = tokenizer.beginning(configBos);
  const scored = windows.count * (beginning ? window : window - 1);
  return {
    windows,
    bos: beginning?.id,
    choices: [
      `whole text encoded without special tokens: ${ids.length} tokens`,
      beginning
        ? `each window starts with BOS ${beginning.id} (${beginning.source}); all ${window} tokens of each window are scored`
        : `no BOS: the first of the ${window} tokens of each window is not scored`,
      `${windows.count} windows of ${window} tokens${spec.limit === undefined ? '' : ` (limit ${spec.limit})`}, shorter rest dropped; ${scored} tokens scored`,
    ],
  };
}
