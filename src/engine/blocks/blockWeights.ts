import { elementCount } from '../../protocol/dtypes';
import { LoomweightError } from '../../protocol/errors';
import type { DecoderConfig } from '../architectures/architecture';
import { blockTensors } from '../architectures/decoder/expectedTensors';
import type { WeightReader } from '../models/weightReader';
import type { RuntimeTensor } from '../runtime/types';

/** Which weights of a block are wanted. */
export interface BlockWeightsRequest {
  readonly block: number;
  readonly weights: WeightReader;
  /** Names (of block 0) that the graph takes. */
  readonly slots: ReadonlySet<string>;
  /** Names (of this block) to read anew; the others are those of the load before, which was of the same block. Default: all. */
  readonly changed?: ReadonlySet<string> | undefined;
}

type Feeds = Record<string, RuntimeTensor>;

/** A tensor of a block: its name in block 0, which the graph has, and its own. */
interface Slot {
  readonly slot: string;
  readonly name: string;
  readonly shape: readonly number[];
}

/**
 * The weights of one block at a time as feeds of a block graph, under the names of block 0. Every block is read into the same buffers; with `resident`
 * the arrays of the reader are fed without a copy (a reader that keeps them makes the whole model resident).
 */
export class BlockWeights {
  private readonly buffers = new Map<string, Float32Array>();
  private loaded: { readonly block: number; readonly feeds: Feeds } | undefined;

  constructor(
    private readonly config: DecoderConfig,
    private readonly resident: boolean,
  ) {}

  async load({ block, weights, slots, changed }: BlockWeightsRequest): Promise<Feeds> {
    if (changed !== undefined && this.loaded?.block !== block)
      throw new LoomweightError('internal', `Changed weights of block ${block} were requested before the block itself was read.`);
    const feeds = changed === undefined ? {} : (this.loaded?.feeds ?? {});
    const wanted = this.slotsOf(block).filter(({ slot, name }) => slots.has(slot) && (!(slot in feeds) || changed?.has(name) === true));
    Object.assign(feeds, await this.read(wanted, weights));
    this.loaded = { block, feeds };
    return Object.fromEntries(Object.entries(feeds).filter(([slot]) => slots.has(slot)));
  }

  private async read(slots: readonly Slot[], weights: WeightReader): Promise<Feeds> {
    const feeds: Feeds = {};
    for (const { slot, name, shape } of slots)
      feeds[slot] = {
        dtype: 'float32',
        shape,
        data: await weights.read(name, this.resident ? undefined : bufferOf(this.buffers, slot, shape)),
      };
    return feeds;
  }

  private slotsOf(block: number): readonly Slot[] {
    const slots = blockTensors(this.config, 0);
    return blockTensors(this.config, block).map(({ name, shape }, index) => ({ slot: slots[index]!.name, name, shape }));
  }
}

function bufferOf(buffers: Map<string, Float32Array>, slot: string, shape: readonly number[]): Float32Array {
  const known = buffers.get(slot);
  if (known) return known;
  const made = new Float32Array(elementCount(shape));
  buffers.set(slot, made);
  return made;
}
