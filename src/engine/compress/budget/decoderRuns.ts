import { throwIfCancelled } from '../../../protocol/errors';
import type { DecoderConfig } from '../../architectures/architecture';
import { rmsNorm } from '../../architectures/decoder/decoderBlock';
import { blockTensors, finalNormName, headMatrixName } from '../../architectures/decoder/expectedTensors';
import { inputWeights } from '../../architectures/decoder/inputWeights';
import { BlockRunner } from '../../blocks/blockRunner';
import { embedTokens } from '../../blocks/embedTokens';
import { headStatistics } from '../../blocks/headStatistics';
import { HiddenStates, type HiddenLayout } from '../../blocks/hiddenStates';
import type { Statistic } from '../../blocks/taps/tap';
import { GraphBuilder, int } from '../../graph/builder';
import type { Graph } from '../../graph/graph';
import { overlayWeights } from '../../models/overlayWeights';
import { residentWeights } from '../../models/residentWeights';
import type { WeightReader } from '../../models/weightReader';
import { operators } from '../../ops/index';
import type { RuntimeTensor, Session } from '../../runtime/types';
import type { WorkContext } from '../../runtime/workContext';

/** Token ids that a decoder is run on: int64 [windows, length]. */
export interface TokenSample {
  readonly windows: number;
  readonly length: number;
  readonly ids: BigInt64Array;
}

/**
 * Runs a decoder block by block on a sample: the second moments of what enters every linear layer, and how far the next-token distributions move when
 * one weight is replaced. Weights stay in memory, and the hidden states before every block.
 */
export class DecoderRuns {
  private readonly weights: WeightReader;
  private readonly runner: BlockRunner;
  private readonly layout: HiddenLayout;
  private head: Session | undefined;
  /** Hidden states before each block, and after the last. */
  private readonly hidden: HiddenStates[] = [];
  private reference: Float32Array | undefined;

  constructor(
    /** Where rows of the embedding come from; whole weights are read once and kept. */
    private readonly source: WeightReader,
    private readonly config: DecoderConfig,
    private readonly sample: TokenSample,
    private readonly context: Pick<WorkContext, 'runtime' | 'signal'>,
  ) {
    this.weights = residentWeights(source);
    this.runner = new BlockRunner(config, context, { windowsPerRun: sample.windows, resident: true });
    this.layout = { windows: sample.windows, length: sample.length, hiddenSize: config.hiddenSize };
  }

  /**
   * Runs the float model once. Gives for each linear weight by name the mean square of its inputs over the sample's tokens, [in]; for the head, and a tied embedding
   * that is the head, that of the final norm's outputs.
   */
  async inputMoments(progress: (block: number) => void): Promise<ReadonlyMap<string, Float32Array>> {
    const { config, sample, layout, weights } = this;
    const result = new Map<string, Float32Array>();
    const taps = [{ kind: 'moments' }];
    const keep = (name: string, { values }: Statistic): void => void result.set(name, Float32Array.from(values));
    let hidden = HiddenStates.inMemory(layout, await embedTokens(this.source, config, sample.ids));
    this.hidden[0] = hidden;
    for (let block = 0; block < config.layers; block += 1) {
      progress(block);
      const output = HiddenStates.inMemory(layout);
      // Moments and the reference are those of the plain operators, on every provider.
      const statistics = await this.runner.run({ block, weights, input: hidden, output, taps, plain: true });
      for (const [name, kinds] of statistics) keep(name, kinds.get('moments')!);
      this.hidden[block + 1] = hidden = output;
    }
    const ofHead = await headStatistics({ config, weights, hidden, kinds: ['moments'], windowsPerRun: sample.windows }, this.context);
    keep(headMatrixName(config), ofHead.get('moments')!);
    return result;
  }

  /**
   * Mean over the sample's tokens of KL(float || changed) in nats, with the weight `name` (its values in stored order) replaced. After inputMoments. A tied
   * embedding is replaced as head only.
   */
  async divergence(name: string, values: Float32Array): Promise<number> {
    const { config, layout, weights } = this;
    const head = headMatrixName(config);
    const last = this.hidden[config.layers] as HiddenStates;
    this.reference ??= await this.logProbabilities(last, await weights.read(head));
    if (name === head) return this.compare(last, values);
    const replaced = overlayWeights(weights, new Map([[name, values]]));
    const block = Array.from({ length: config.layers }, (_, index) => index).find((index) =>
      blockTensors(config, index).some((tensor) => tensor.name === name),
    );
    // Not in a block and not the head: the embedding.
    const embedded = block === undefined ? await embedTokens(replaced, config, this.sample.ids, true) : undefined;
    const hidden = HiddenStates.inMemory(layout, embedded);
    for (let index = block ?? 0; index < config.layers; index += 1)
      await this.runner.run({
        block: index,
        weights: index === block ? replaced : weights,
        input: index === block ? (this.hidden[index] as HiddenStates) : hidden,
        output: hidden,
      });
    return this.compare(hidden, await weights.read(head));
  }

  async release(): Promise<void> {
    await this.runner.release();
    await this.head?.release();
    this.head = undefined;
  }

  private async logProbabilities(hidden: HiddenStates, head: Float32Array): Promise<Float32Array> {
    const { vocabularySize, hiddenSize } = this.config;
    const { windows, length } = this.layout;
    throwIfCancelled(this.context.signal);
    this.head ??= await this.context.runtime.createFromGraph(headGraph(this.config), { keep: false });
    const results = await this.head.run({
      hidden: { dtype: 'float32', shape: [windows * length, hiddenSize], data: await hidden.read(0, windows) },
      [finalNormName]: { dtype: 'float32', shape: [hiddenSize], data: await this.weights.read(finalNormName) },
      head: { dtype: 'float32', shape: [vocabularySize, hiddenSize], data: head },
    });
    return (results['logProbabilities'] as RuntimeTensor).data.slice() as Float32Array;
  }

  private async compare(hidden: HiddenStates, head: Float32Array): Promise<number> {
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
