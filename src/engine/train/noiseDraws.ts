import { elementCount } from '../../protocol/dtypes';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';

/** Kinds of noise; each has its own pool. */
export const noiseKinds = ['uniform', 'gaussian'] as const;
export type NoiseKind = (typeof noiseKinds)[number];

/** How much noise of one kind a step takes: lengths of its draws, each a stretch of the pool at its own offset. */
export interface NoiseDemand {
  readonly draws: readonly number[];
}

/** Pool and offsets of one kind, as values of the step's graph. */
export interface NoiseSource {
  /** [pool length] float32. */
  readonly pool: Value;
  /** [draws] int64: where each draw of this step begins. */
  readonly offsets: Value;
}

/**
 * Hands out noise within one step: tensors one after another along a draw, so that none overlap. A draw that is full (`longestDraw`) is followed by
 * another at its own offset; a tensor longer than that is put together from several.
 */
export class NoiseDraws {
  private readonly lengths = new Map<NoiseKind, number[]>();
  private readonly given = new Map<string, Value>();

  constructor(
    private readonly build: GraphBuilder,
    private readonly source: (kind: NoiseKind) => NoiseSource,
    private readonly longestDraw: number,
  ) {}

  /** Noise of a shape; the same key gives the same values again. */
  take(key: string, shape: readonly number[], kind: NoiseKind): Value {
    const known = this.given.get(`${kind}/${key}`);
    if (known) return known;
    const { build } = this;
    const pieces: Value[] = [];
    for (let rest = elementCount(shape); rest > 0;) {
      const piece = this.nextPiece(kind, rest);
      rest -= piece.length;
      pieces.push(piece.value);
    }
    const flat = pieces.length === 1 ? (pieces[0] as Value) : build.op('Concat', pieces, { axis: { kind: 'int', value: 0 } });
    const made = build.op('Reshape', [flat, build.int64(shape)], {}, { name: `noise/${key}` });
    this.given.set(`${kind}/${key}`, made);
    return made;
  }

  /** What was taken. */
  demand(): ReadonlyMap<NoiseKind, NoiseDemand> {
    return new Map([...this.lengths].map(([kind, draws]) => [kind, { draws }]));
  }

  private nextPiece(kind: NoiseKind, wanted: number): { readonly value: Value; readonly length: number } {
    const draws = this.lengths.get(kind) ?? [];
    this.lengths.set(kind, draws);
    const last = draws.at(-1);
    // A tensor that does not fit the rest of a draw begins the next one, unless it is longer than any draw.
    const startsNew = last === undefined || last === this.longestDraw || (last + wanted > this.longestDraw && wanted <= this.longestDraw);
    if (startsNew) draws.push(0);
    const draw = draws.length - 1;
    const begin = draws[draw] as number;
    const length = Math.min(wanted, this.longestDraw - begin);
    draws[draw] = begin + length;
    const { build } = this;
    const { pool, offsets } = this.source(kind);
    const offset = build.op('Gather', [offsets, build.int64([draw])]);
    const from = begin === 0 ? offset : build.op('Add', [offset, build.int64([begin])]);
    const to = build.op('Add', [from, build.int64([length])]);
    return { value: build.op('Slice', [pool, from, to, build.int64([0])]), length };
  }
}
