import path from 'node:path';
import { LoomweightError, throwIfCancelled } from '../../protocol/errors';
import type { TensorContainer } from '../formats/container';
import { readText } from '../formats/files/readText';
import { dequantizedCopy } from '../models/dequantizedCopy';
import type { Runtime, RuntimeTensor, Session } from '../runtime/types';
import { inputIds, targetIds, type TextWindows } from '../text/windows';
import type { TaskContext, WorkContext } from '../runtime/workContext';
import { LogitsLoss } from './logitsLoss';
import { asInteger, emptyInput, type Port } from './onnxInputs';
import type { OnnxSizes } from './onnxScoringPlan';
import { isSlowProduct } from './slowProducts';

/** Contents of config.json and tokenizer files of an ONNX language model; they are in its folder or the one above `onnx/`. */
export interface OnnxSettings extends OnnxSizes {
  readonly folders: readonly string[];
  readonly contextLength: number;
  readonly bosTokenId: number | undefined;
}

/** Reads config.json near an ONNX file. */
export async function readOnnxSettings(container: TensorContainer): Promise<OnnxSettings> {
  const folder = path.dirname(container.path);
  const folders = [folder, path.dirname(folder)];
  for (const candidate of folders) {
    const text = await readText(path.join(candidate, 'config.json')).catch(() => undefined);
    if (text === undefined) continue;
    const config = parseObject(text, path.join(candidate, 'config.json'));
    const number = (key: string) => (typeof config[key] === 'number' ? config[key] : undefined);
    return {
      folders,
      contextLength: number('max_position_embeddings') ?? number('n_positions') ?? number('n_ctx') ?? 2048,
      bosTokenId: number('bos_token_id'),
      vocabularySize: number('vocab_size'),
      hiddenSize: number('hidden_size') ?? number('n_embd'),
      intermediateSize: number('intermediate_size') ?? number('n_inner'),
      heads: number('num_attention_heads') ?? number('n_head'),
      layers: number('num_hidden_layers') ?? number('n_layer'),
    };
  }
  return {
    folders,
    contextLength: 2048,
    bosTokenId: undefined,
    vocabularySize: undefined,
    hiddenSize: undefined,
    intermediateSize: undefined,
    heads: undefined,
    layers: undefined,
  };
}

function parseObject(text: string, file: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch {
    // Told below.
  }
  throw new LoomweightError('malformed-file', `${file} must contain a JSON object.`, { path: file });
}

/**
 * An ONNX language model with Optimum's names, ours or another tool's: `input_ids`, and where the graph has them `attention_mask`,
 * `position_ids`, `token_type_ids`, `use_cache_branch` and an empty cache. `logits` [batch, sequence, vocabulary] in float32 or float16.
 */
export class OnnxLanguageModel {
  private constructor(
    private readonly session: Session,
    private readonly runtime: Runtime,
    private readonly inputs: readonly Port[],
    /** Weights that are inputs of the graph that runs. */
    private readonly weights: Readonly<Record<string, RuntimeTensor>>,
    private readonly removeCopy: () => Promise<void>,
  ) {}

  /**
   * Checks the graph's inputs before anything runs. With `dequantize`, products whose packed kernels are slow on many rows take dequantised weights.
   * Errors: `unsupported` with the input that is not known; `insufficient-disk`.
   */
  static async load(container: TensorContainer, { runtime }: Pick<WorkContext, 'runtime'>, dequantize = false): Promise<OnnxLanguageModel> {
    const graph = container.graph;
    const inputs = graph?.inputs ?? [];
    if (!inputs.some(({ name }) => name === 'input_ids') || !graph?.outputs.some(({ name }) => name === 'logits'))
      throw new LoomweightError(
        'unsupported',
        `Evaluating on text requires an ONNX graph with the input 'input_ids' and the output 'logits', but ${container.path} has ` +
          `${names(inputs)} and ${names(graph?.outputs ?? [])}. For other graphs use --data.`,
        { path: container.path },
      );
    for (const input of inputs) emptyInput(input, 1, 1);
    if (!dequantize) return new OnnxLanguageModel(await runtime.createFromFile(container.path), runtime, inputs, {}, async () => undefined);
    const copy = await dequantizedCopy(container.path, isSlowProduct);
    try {
      const session = await runtime.createFromFile(copy.path);
      // A process that is killed leaves nothing behind once the name is gone. Where a mapped file cannot be removed, the release removes it.
      await copy.remove().catch(() => undefined);
      return new OnnxLanguageModel(session, runtime, inputs, copy.feeds, copy.remove);
    } catch (error) {
      await copy.remove();
      throw error;
    }
  }

  /** Sum of losses over all scored tokens, in nats, accumulated in float64. */
  async score(
    windows: TextWindows,
    bos: number | undefined,
    perRun: number,
    { progress, signal }: Pick<TaskContext, 'signal' | 'progress'>,
  ): Promise<{ loss: number; tokens: number }> {
    const length = bos === undefined ? windows.window - 1 : windows.window;
    let losses: LogitsLoss | undefined;
    let loss = 0;
    try {
      for (let first = 0; first < windows.count; first += perRun) {
        throwIfCancelled(signal);
        progress({ phase: 'Scoring text', done: first, total: windows.count, unit: 'windows' });
        const count = Math.min(perRun, windows.count - first);
        const logits = await this.logits(inputIds(windows, first, count, bos), count, length);
        losses ??= await LogitsLoss.create(this.runtime, logits.dtype === 'float16' ? 'float16' : 'float32');
        loss += await losses.score(logits, targetIds(windows, first, count, bos));
      }
    } finally {
      await losses?.release();
    }
    progress({ phase: 'Scoring text', done: windows.count, total: windows.count, unit: 'windows' });
    return { loss, tokens: windows.count * length };
  }

  async release(): Promise<void> {
    await this.session.release();
    await this.removeCopy();
  }

  private async logits(ids: BigInt64Array, count: number, length: number): Promise<RuntimeTensor> {
    const feeds = Object.fromEntries(
      this.inputs.map((input) => [
        input.name,
        input.name === 'input_ids' ? asInteger(input, ids, [count, length]) : emptyInput(input, count, length),
      ]),
    );
    const { logits } = await this.session.run({ ...this.weights, ...feeds }, ['logits']);
    if (logits?.shape.length !== 3 || logits.shape[1] !== length)
      throw new LoomweightError(
        'unsupported',
        `Evaluation requires logits [${count}, ${length}, vocabulary], got [${logits?.shape.join(', ')}]: this graph returns only the last ` +
          'position. Export it with all logits.',
        { shape: logits?.shape },
      );
    return logits;
  }
}

const names = (ports: readonly Port[]) => ports.map(({ name }) => name).join(', ') || 'none';
