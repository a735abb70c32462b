import type { DecoderConfig } from '../architectures/architecture';
import { inputWeights } from '../architectures/decoder/inputWeights';
import { blockGraph } from '../architectures/decoder/streamingGraphs';
import { pruneGraph } from '../graph/passes/prune';
import type { Graph } from '../graph/graph';
import type { Runtime, Session } from '../runtime/types';
import type { TapKind } from './taps/tap';
import { tappedWeights, type TapOutput } from './tappedWeights';

/** What distinguishes one kind of block from another. Blocks of one kind share a session, whatever their weights. */
export interface BlockKind {
  readonly slidingWindow: number | undefined;
  readonly fused: boolean;
  /** Whether the block's output is computed, not only taps. */
  readonly next: boolean;
  /** Taps by the names of block 0. */
  readonly taps: ReadonlyMap<string, readonly TapKind[]>;
}

/** A session for one kind of block, and what its taps are called. */
export interface BlockSession {
  readonly session: Session;
  readonly taps: readonly TapOutput[];
}

/** The graph of one kind of block, with its taps; what no output needs, weights included, is left out. */
export function tappedBlockGraph(config: DecoderConfig, kind: BlockKind): { readonly graph: Graph; readonly taps: readonly TapOutput[] } {
  const { slidingWindow, fused, next } = kind;
  if (kind.taps.size === 0) return { graph: blockGraph(config, { slidingWindow, fused }), taps: [] };
  const { weights, outputs } = tappedWeights(inputWeights(), (name) => kind.taps.get(name) ?? []);
  const graph = blockGraph(config, { slidingWindow, fused, weights, next });
  return { graph: next ? graph : withoutUnusedInputs(pruneGraph(graph)), taps: outputs };
}

function withoutUnusedInputs(graph: Graph): Graph {
  const used = new Set([...graph.outputs, ...graph.nodes.flatMap(({ inputs }) => inputs)]);
  return { ...graph, inputs: graph.inputs.filter((input) => used.has(input)) };
}

/** Sessions of the blocks of one decoder, made when first asked for: with and without a sliding window, fused or not, by taps. */
export class BlockSessions {
  private readonly made = new Map<string, BlockSession>();

  constructor(
    private readonly runtime: Runtime,
    private readonly config: DecoderConfig,
  ) {}

  async get(kind: BlockKind): Promise<BlockSession> {
    const taps = [...kind.taps].map(([name, kinds]) => [name, kinds.map(({ id }) => id)]);
    const key = JSON.stringify([kind.slidingWindow, kind.fused, kind.next, taps]);
    const known = this.made.get(key);
    if (known) return known;
    const { graph, taps: outputs } = tappedBlockGraph(this.config, kind);
    const made = { session: await this.runtime.createFromGraph(graph, { keep: false }), taps: outputs };
    this.made.set(key, made);
    return made;
  }

  async release(): Promise<void> {
    const sessions = [...this.made.values()];
    this.made.clear();
    for (const { session } of sessions) await session.release();
  }
}
