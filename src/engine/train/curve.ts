import type { TrainingProgress } from '../../protocol/training';

type CurvePoint = TrainingProgress['curve'][number];

/** Maximum number of points of a curve in pages and reports. */
const mostPoints = 400;

/**
 * The loss and the method's numbers over a training, thinned: each point is the mean of as many neighbouring steps as keep all under 400 points, so that the
 * same steps give the same points however they were run.
 */
export class TrainingCurve {
  private readonly stride: number;
  private readonly points: CurvePoint[] = [];
  private steps = 0;
  private sums: Record<string, number> = {};

  constructor(totalSteps: number, saved?: SavedCurve) {
    this.stride = Math.max(1, Math.ceil(totalSteps / mostPoints));
    if (!saved) return;
    this.points.push(...saved.points);
    this.steps = saved.open.steps;
    this.sums = { ...saved.open.sums };
  }

  /** Adds the values of one step; `loss` among them. */
  add(step: number, values: Readonly<Record<string, number>>): void {
    for (const [name, value] of Object.entries(values)) this.sums[name] = (this.sums[name] ?? 0) + value;
    this.steps += 1;
    if ((step + 1) % this.stride !== 0) return;
    this.points.push(this.openPoint(step + 1));
    this.steps = 0;
    this.sums = {};
  }

  /** The points so far; the last may be the mean of fewer steps. */
  sofar(step: number): readonly CurvePoint[] {
    return this.steps === 0 ? [...this.points] : [...this.points, this.openPoint(step)];
  }

  /** What a checkpoint keeps. */
  save(): SavedCurve {
    return { points: [...this.points], open: { steps: this.steps, sums: { ...this.sums } } };
  }

  private openPoint(step: number): CurvePoint {
    const { loss = NaN, ...metrics } = Object.fromEntries(Object.entries(this.sums).map(([name, sum]) => [name, sum / this.steps]));
    return { step, loss, metrics };
  }
}

/** A curve as stored in a checkpoint. */
export interface SavedCurve {
  readonly points: readonly CurvePoint[];
  /** Sums over the steps since the last point. */
  readonly open: { readonly steps: number; readonly sums: Readonly<Record<string, number>> };
}
