import { throwIfCancelled } from '../../../protocol/errors';
import type { DecoderConfig, WeightSource } from '../../architectures/architecture';
import { causalMask, decoderBlock, rmsNorm } from '../../architectures/decoder/decoderBlock';
import { blockTensors, embeddingName, finalNormName, headName } from '../../architectures/decoder/expectedTensors';
import { canFuseBlock } from '../../architectures/decoder/fusedBlock';
import { inputWeights } from '../../architectures/decoder/inputWeights';
import { axisLength } from '../../architectures/decoder/languageModel';
import { windowOfBlock } from '../../architectures/decoder/readDecoderConfig';
import { rotaryAngles } from '../../architectures/decoder/rope';
import { blockGraph } from '../../architectures/decoder/streamingGraphs';
import { embedTokens } from '../../blocks/embedTokens';
import { WeightReader } from '../../evaluate/scoreDecoder';
import type { TensorContainer } from '../../formats/container';
import { GraphBuilder, int } from '../../graph/builder';
import type { Graph } from '../../graph/graph';
import { operators } from '../../ops/index';
import type { Runtime, RuntimeTensor, Session } from '../../runtime/types';

/** Token ids that a decoder is run on: int64 [windows, length]. */
export interface TokenSample {
  readonly windows: number;
  readonly length: number;
  readonly ids: BigInt64Array;
}

/**
 * Runs a decoder block by block on a sample: the second moments of what enters every linear layer, and how far the next-token distributions move when
 * one weight is replaced. Weights are read block by block; the hidden states before every block stay in memory.
 */
export class DecoderRuns {
  private readonly weights: WeightReader;
  private readonly sessions = new Map<string, Session>();
  /** Hidden states before each block, and after the last: float32 [windows, length, hiddenSize]. */
  private readonly hidden: Float32Array[] = [];
  private reference: Float32Array | undefined;

  constructor(
    private readonly container: TensorContainer,
    private readonly config: DecoderConfig,
    private readonly sample: TokenSample,
    private readonly runtime: Runtime,
    private readonly signal: AbortSignal | undefined,
    keepWeights: boolean,
  ) {
    this.weights = new WeightReader(container, keepWeights);
  }

  /**
   * Runs the float model once. Gives for each linear weight by name the mean square of its inputs over the sample's tokens, [in]; for the head, and a tied embedding
   * that is the head, that of the final norm's outputs.
   */
  async inputMoments(progress: (block: number) => void): Promise<ReadonlyMap<string, Float32Array>> {
    const { config, sample } = this;
    const moments = new Map<string, Float32Array>();
    const tokens = sample.windows * sample.length;
    let hidden = await embedTokens(this.container, config, sample.ids, undefined);
    const names = blockTensors(config, 0).map(({ name }) => name);
    for (let block = 0; block < config.layers; block += 1) {
      throwIfCancelled(this.signal);
      progress(block);
      this.hidden[block] = hidden;
      const window = windowOfBlock(config, block);
      const session = await this.session(`moments ${window}`, () => momentsGraph(config, window));
      const results = await session.run({ ...(await this.weights.block(config, block)), hidden: this.hiddenTensor(hidden) });
      hidden = (results['next'] as RuntimeTensor).data.slice() as Float32Array;
      blockTensors(config, block).forEach(({ name }, index) => {
        const sums = results[`squares/${names[index] as string}`]?.data as Float32Array | undefined;
        if (sums)
          moments.set(
            name,
            sums.map((sum) => sum / tokens),
          );
      });
    }
    this.hidden[config.layers] = hidden;
    const head = config.tiedEmbeddings ? embeddingName : headName;
    const session = await this.session('norm', () => normGraph(config));
    const results = await session.run({ hidden: this.rows(hidden), [finalNormName]: await this.weights.get(finalNormName) });
    moments.set(
      head,
      ((results['squares'] as RuntimeTensor).data as Float32Array).map((sum) => sum / tokens),
    );
    return moments;
  }

  /**
   * Mean over the sample's tokens of KL(float || changed) in nats, with the weight `name` (its values in stored order) replaced. After inputMoments. A tied
   * embedding is replaced as head only.
   */
  async divergence(name: string, values: Float32Array): Promise<number> {
    const { config } = this;
    const head = config.tiedEmbeddings ? embeddingName : headName;
    this.reference ??= await this.logProbabilities(this.hidden[config.layers] as Float32Array, await this.weights.get(head));
    const shape = this.container.tensors.get(name)!.shape;
    const replaced: RuntimeTensor = { dtype: 'float32', shape, data: values };
    if (name === head) return this.compare(this.hidden[config.layers] as Float32Array, replaced);
    const first = Array.from({ length: config.layers }, (_, block) => block).find((block) =>
      blockTensors(config, block).some((tensor) => tensor.name === name),
    );
    let hidden: Float32Array;
    if (first === undefined) hidden = await embedTokens(this.container, config, this.sample.ids, { get: async () => replaced });
    else hidden = this.hidden[first] as Float32Array;
    for (let block = first ?? 0; block < config.layers; block += 1) {
      throwIfCancelled(this.signal);
      const feeds = await this.weights.block(config, block);
      if (block === first) {
        const index = blockTensors(config, block).findIndex((tensor) => tensor.name === name);
        feeds[blockTensors(config, 0)[index]!.name] = replaced;
      }
      const window = windowOfBlock(config, block);
      const fused = this.runtime.environment.provider === 'cpu' && canFuseBlock(config);
      const session = await this.session(`block ${window}`, () => blockGraph(config, window, fused));
      hidden = (await session.run({ ...feeds, hidden: this.hiddenTensor(hidden) }))['next']!.data as Float32Array;
    }
    return this.compare(hidden, await this.weights.get(head));
  }

  async release(): Promise<void> {
    for (const session of this.sessions.values()) await session.release();
    this.sessions.clear();
  }

  private async logProbabilities(hidden: Float32Array, head: RuntimeTensor): Promise<Float32Array> {
    const session = await this.session('head', () => headGraph(this.config));
    const results = await session.run({ hidden: this.rows(hidden), [finalNormName]: await this.weights.get(finalNormName), head });
    return (results['logProbabilities'] as RuntimeTensor).data.slice() as Float32Array;
  }

  private async compare(hidden: Float32Array, head: RuntimeTensor): Promise<number> {
    const changed = await this.logProbabilities(hidden, head);
    const reference = this.reference as Float32Array;
    let sum = 0;
    for (let index = 0; index < changed.length; index += 1) {
      const expected = reference[index] as number;
      // Terms below e^-20 change nothing that is measured here.
      if (expected > -20) sum += Math.exp(expected) * (expected - (changed[index] as number));
    }
    return Math.max(0, sum / (this.sample.windows * this.sample.length));
  }

  private hiddenTensor(data: Float32Array): RuntimeTensor {
    return { dtype: 'float32', shape: [this.sample.windows, this.sample.length, this.config.hiddenSize], data };
  }

  private rows(data: Float32Array): RuntimeTensor {
    return { dtype: 'float32', shape: [this.sample.windows * this.sample.length, this.config.hiddenSize], data };
  }

  private async session(key: string, graph: () => Graph): Promise<Session> {
    const known = this.sessions.get(key);
    if (known) return known;
    const session = await this.runtime.createFromGraph(graph(), { keep: false });
    this.sessions.set(key, session);
    return session;
  }
}

/** A block as in streamingGraphs.ts that also gives, for each linear weight, the sum of squares of its inputs: `squares/<name>` [in]. */
function momentsGraph(config: DecoderConfig, slidingWindow: number | undefined): Graph {
  const build = new GraphBuilder(operators, 'block_moments');
  const hidden = build.input('hidden', { dtype: 'float32', shape: ['batch', 'sequence', config.hiddenSize] });
  const inner = inputWeights();
  const weights: WeightSource = {
    ...inner,
    linear: (builder, name, x, shape, biasName) => {
      const rows = builder.op('Reshape', [x, builder.int64([-1, shape.in])]);
      const squares = builder.op('ReduceSum', [builder.op('Mul', [rows, rows]), builder.int64([0])], { keepdims: int(0) });
      builder.output(squares, `squares/${name}`);
      return inner.linear(builder, name, x, shape, biasName);
    },
  };
  const sequence = axisLength(build, hidden, 1);
  const positions = build.op('Unsqueeze', [build.op('Range', [build.int64(0), sequence, build.int64(1)]), build.int64([0])]);
  const angles = rotaryAngles(build, config, positions);
  const mask = causalMask(build, { sequence, total: sequence }, slidingWindow);
  build.output(decoderBlock(build, config, weights, 0, { hidden, angles, mask }).hidden, 'next');
  return build.finish();
}

function normGraph(config: DecoderConfig): Graph {
  const build = new GraphBuilder(operators, 'norm_moments');
  const hidden = build.input('hidden', { dtype: 'float32', shape: ['rows', config.hiddenSize] });
  const normed = rmsNorm(build, config, inputWeights(), finalNormName, hidden);
  build.output(build.op('ReduceSum', [build.op('Mul', [normed, normed]), build.int64([0])], { keepdims: int(0) }), 'squares');
  return build.finish();
}

/** hidden [rows, hiddenSize] and the head's matrix -> log probabilities [rows, vocabulary]. */
function headGraph(config: DecoderConfig): Graph {
  const build = new GraphBuilder(operators, 'head_distribution');
  const hidden = build.input('hidden', { dtype: 'float32', shape: ['rows', config.hiddenSize] });
  const head = build.input('head', { dtype: 'float32', shape: [config.vocabularySize, config.hiddenSize] });
  const logits = build.op('Gemm', [rmsNorm(build, config, inputWeights(), finalNormName, hidden), head], { transB: int(1) });
  build.output(build.op('LogSoftmax', [logits], { axis: int(-1) }), 'logProbabilities');
  return build.finish();
}
