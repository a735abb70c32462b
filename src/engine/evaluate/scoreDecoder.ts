import { throwIfCancelled } from '../../protocol/errors';
import type { DecoderConfig } from '../architectures/architecture';
import { blockTensors, embeddingName, finalNormName, headName } from '../architectures/decoder/expectedTensors';
import { windowOfBlock } from '../architectures/decoder/readDecoderConfig';
import { canFuseBlock } from '../architectures/decoder/fusedBlock';
import { blockGraph } from '../architectures/decoder/streamingGraphs';
import type { TensorContainer } from '../formats/container';
import type { Runtime, RuntimeTensor, Session } from '../runtime/types';
import { inputIds, targetIds, type TextWindows } from '../text/windows';
import type { EvaluateProgress } from './context';
import { embedTokens } from '../blocks/embedTokens';
import { HeadLoss } from './headLoss';
import { readWeight } from '../models/decoderWeights';
import type { ScoringPlan } from './scoringPlan';

/** What a decoder is scored on. */
export interface DecoderScoring {
  readonly container: TensorContainer;
  readonly config: DecoderConfig;
  readonly windows: TextWindows;
  readonly bos: number | undefined;
  readonly plan: ScoringPlan;
}

/**
 * Sum of the losses (nats, float64) over all scored tokens of all windows, block by block: the hidden states of a group of windows
 * go through one block, then the next one's weights are read. Memory is one block, the group's hidden states and one run's
 * temporaries, whatever the model's size; weights stay resident where the plan says that they fit.
 */
export async function scoreDecoder(
  { container, config, windows, bos, plan }: DecoderScoring,
  runtime: Runtime,
  { progress, signal }: EvaluateProgress,
): Promise<{ readonly loss: number; readonly tokens: number }> {
  const weights = new WeightReader(container, plan.keepWeights);
  const blocks = new BlockSessions(runtime, config);
  const head = await HeadLoss.create(runtime, config, plan);
  const length = bos === undefined ? windows.window - 1 : windows.window;
  let loss = 0;
  try {
    for (let first = 0; first < windows.count; first += plan.windowsPerGroup) {
      const count = Math.min(plan.windowsPerGroup, windows.count - first);
      const tell = (share: number) =>
        progress?.({ phase: 'Scoring text', done: Math.floor(first + share * count), total: windows.count, unit: 'windows' });
      const hidden = await embedTokens(container, config, inputIds(windows, first, count, bos), plan.wholeEmbedding ? weights : undefined);
      for (let block = 0; block < config.layers; block += 1) {
        const session = await blocks.get(windowOfBlock(config, block));
        const feeds = await weights.block(config, block);
        for (let row = 0; row < count; row += plan.windowsPerRun) {
          throwIfCancelled(signal);
          tell((block + row / count) / (config.layers + 1));
          const rows = Math.min(plan.windowsPerRun, count - row);
          const part = hidden.subarray(row * length * config.hiddenSize, (row + rows) * length * config.hiddenSize);
          const results = await session.run({
            ...feeds,
            hidden: { dtype: 'float32', shape: [rows, length, config.hiddenSize], data: part },
          });
          part.set((results['next'] as RuntimeTensor).data as Float32Array);
        }
      }
      throwIfCancelled(signal);
      const norm = await weights.get(finalNormName);
      const table = config.tiedEmbeddings ? embeddingName : headName;
      const matrix = plan.wholeHead ? await weights.get(table) : undefined;
      loss += await head.score({
        container,
        table,
        matrix,
        norm,
        hidden,
        targets: targetIds(windows, first, count, bos),
        progress: (share) => tell((config.layers + share) / (config.layers + 1)),
        signal,
      });
    }
  } finally {
    await blocks.release();
    await head.release();
  }
  progress?.({ phase: 'Scoring text', done: windows.count, total: windows.count, unit: 'windows' });
  return { loss, tokens: windows.count * length };
}

/** Reads weights as float32, and keeps them where that was planned. */
export class WeightReader {
  private readonly kept = new Map<string, RuntimeTensor>();
  /** Of the block read last, by names of block 0: the next block goes into the same buffers. */
  private buffers: Readonly<Record<string, RuntimeTensor>> = {};

  constructor(
    private readonly container: TensorContainer,
    private readonly keep: boolean,
  ) {}

  async get(name: string): Promise<RuntimeTensor> {
    const known = this.kept.get(name);
    if (known) return known;
    const tensor = await readWeight(this.container, name);
    if (this.keep) this.kept.set(name, tensor);
    return tensor;
  }

  /** A block's weights under the names of block 0, which the block graph takes. */
  async block(config: DecoderConfig, block: number): Promise<Record<string, RuntimeTensor>> {
    const names = blockTensors(config, 0);
    const feeds: Record<string, RuntimeTensor> = {};
    for (const [index, { name }] of blockTensors(config, block).entries()) {
      const slot = (names[index] as { name: string }).name;
      feeds[slot] = this.keep ? await this.get(name) : await readWeight(this.container, name, this.buffers[slot]?.data);
    }
    if (!this.keep) this.buffers = feeds;
    return feeds;
  }
}

/** One session for each kind of block: with and without a sliding window. */
class BlockSessions {
  private readonly sessions = new Map<number | undefined, Session>();

  constructor(
    private readonly runtime: Runtime,
    private readonly config: DecoderConfig,
  ) {}

  async get(slidingWindow: number | undefined): Promise<Session> {
    const known = this.sessions.get(slidingWindow);
    if (known) return known;
    const fused = this.runtime.environment.provider === 'cpu' && canFuseBlock(this.config);
    const session = await this.runtime.createFromGraph(blockGraph(this.config, slidingWindow, fused), { keep: false });
    this.sessions.set(slidingWindow, session);
    return session;
  }

  async release(): Promise<void> {
    for (const session of this.sessions.values()) await session.release();
  }
}
