import { LoomweightError, throwIfCancelled } from '../../protocol/errors';
import type { DecoderConfig } from '../architectures/architecture';
import { blockTensors } from '../architectures/decoder/expectedTensors';
import { canFuseBlock } from '../architectures/decoder/fusedBlock';
import { windowOfBlock } from '../architectures/decoder/readDecoderConfig';
import type { WeightReader } from '../models/weightReader';
import type { RuntimeTensor } from '../runtime/types';
import type { WorkContext } from '../runtime/workContext';
import { BlockSessions, type BlockKind } from './blockSessions';
import { BlockWeights } from './blockWeights';
import type { HiddenStates } from './hiddenStates';
import type { Statistics, Tap } from './taps/tap';
import { tapsOfBlock } from './tapsOfBlock';
import { TapSums } from './tapSums';

/** How the blocks of a decoder are run. */
export interface BlockRunnerOptions {
  /** Windows in one run of the runtime. */
  readonly windowsPerRun: number;
  /** True if the readers keep their values: they are fed without a copy. Otherwise blocks are read into one set of buffers. */
  readonly resident: boolean;
}

/** One block over all windows of some hidden states. */
export interface BlockRun {
  readonly block: number;
  readonly weights: WeightReader;
  /** Tensors whose values differ from those of the run before, which was of the same block: only these are read. Default: all are. */
  readonly changed?: ReadonlySet<string> | undefined;
  readonly input: HiddenStates;
  /** Where the block's outputs go; may be `input` itself. Absent: only what the taps need is computed. */
  readonly output?: HiddenStates;
  readonly taps?: readonly Tap[] | undefined;
  /** True: standard operators only. Default: ONNX Runtime's own, on the CPU where they take the model. */
  readonly plain?: boolean | undefined;
  /** Told before each run of the runtime which share of the windows is done. */
  readonly progress?: ((share: number) => void) | undefined;
}

const noTaps: readonly Tap[] = [];

/**
 * Runs decoder blocks one at a time: weights from any reader are inputs of a graph that is compiled once for each kind of block, so that memory is one
 * block and its activations, whatever the model's size. Taps gather statistics of what enters linear layers. Nothing is kept between runs but
 * sessions and buffers; the caller decides what the next block gets. Errors: `cancelled`, and those of readers and runtime.
 */
export class BlockRunner {
  private readonly sessions: BlockSessions;
  private readonly weights: BlockWeights;
  /** For states that come from a file. */
  private chunk: Float32Array | undefined;

  constructor(
    private readonly config: DecoderConfig,
    private readonly context: Pick<WorkContext, 'runtime' | 'signal'>,
    private readonly options: BlockRunnerOptions,
  ) {
    this.sessions = new BlockSessions(context.runtime, config);
    this.weights = new BlockWeights(config, options.resident);
  }

  /** Runs one block and gives what the taps gathered, empty without taps. */
  async run({ block, weights, changed, input, output, taps = noTaps, plain = false, progress }: BlockRun): Promise<Statistics> {
    const { windows, length, hiddenSize } = input.layout;
    const kind: BlockKind = {
      slidingWindow: windowOfBlock(this.config, block),
      fused: !plain && this.context.runtime.environment.provider === 'cpu' && canFuseBlock(this.config),
      next: output !== undefined,
      taps: tapsOfBlock(this.config, block, taps),
    };
    if (!kind.next && kind.taps.size === 0)
      throw new LoomweightError('internal', `Block ${block} was run without an output and without taps.`);
    throwIfCancelled(this.context.signal);
    const session = await this.sessions.get(kind);
    const slots = new Set(session.session.inputNames.filter((name) => name !== 'hidden'));
    const feeds = await this.weights.load({ block, weights, slots, changed });
    const sums = new TapSums(session.taps);
    for (let first = 0; first < windows; first += this.options.windowsPerRun) {
      throwIfCancelled(this.context.signal);
      progress?.(first / windows);
      const count = Math.min(this.options.windowsPerRun, windows - first);
      const data = await input.read(first, count, this.chunkOf(input, count));
      const results = await session.session.run({ ...feeds, hidden: { dtype: 'float32', shape: [count, length, hiddenSize], data } });
      sums.add(results);
      await output?.write(first, (results['next'] as RuntimeTensor).data as Float32Array);
    }
    return sums.finish({ tokens: windows * length, windows }, this.nameIn(block));
  }

  /** Releases sessions. The runner may not be used afterwards. */
  release(): Promise<void> {
    return this.sessions.release();
  }

  private nameIn(block: number): (slot: string) => string {
    const slots = blockTensors(this.config, 0);
    const names = new Map(blockTensors(this.config, block).map(({ name }, index) => [slots[index]!.name, name] as const));
    return (slot) => names.get(slot) as string;
  }

  private chunkOf({ spilled, layout }: HiddenStates, count: number): Float32Array | undefined {
    if (!spilled) return undefined;
    const length = count * layout.length * layout.hiddenSize;
    if (this.chunk?.length !== length) this.chunk = new Float32Array(length);
    return this.chunk;
  }
}
