import type { GraphBuilder } from '../../../graph/builder';
import type { Value } from '../../../graph/graph';
import { formula } from '../../../ops/formula';
import type { MethodVariable } from '../../contract';

/** Steers the penalty so that the average width follows a line down (or up) to a target and stays there. */
export interface Steering {
  readonly targetBits: number;
  readonly firstPenalty: number;
  /** Steps until widths are frozen. */
  readonly learningSteps: number;
}

/** Logarithm of the penalty, carried from step to step. */
export const steeringName = 'steering';

/** Share of the learning steps after which the target should be reached. */
const reachedAt = 0.6;
/** How far the logarithm of the penalty moves in a step for each bit too many, and how much of it acts at once. */
const integral = 0.05;
const proportional = 2;
/** The penalty stays between e^-25 and e^25. */
const limit = 25;

export const steeringVariable = ({ firstPenalty }: Steering): MethodVariable => ({
  name: steeringName,
  shape: [1],
  initial: Float32Array.of(Math.log(Math.max(1e-8, firstPenalty))),
  group: undefined,
});

/**
 * One step of a proportional and integral controller on the logarithm of the penalty. `bits`: average width now, tables included; `firstBits`: at the
 * start. Gives the penalty of this step and the variable's next value.
 */
export function steer(
  build: GraphBuilder,
  { targetBits, learningSteps }: Steering,
  now: { readonly logarithm: Value; readonly bits: Value; readonly step: Value; readonly firstBits: number },
): { readonly penalty: Value; readonly next: Value } {
  const { add, sub, mul, op } = formula(build, 'float32');
  const way = op('Min', mul(now.step, 1 / Math.max(1, reachedAt * learningSteps)), 1);
  const wanted = add(mul(sub(1, way), now.firstBits - targetBits), targetBits);
  const excess = build.op('Clip', [sub(now.bits, wanted), build.float32(-1), build.float32(1)]);
  const next = build.op('Clip', [add(now.logarithm, mul(excess, integral)), build.float32(-limit), build.float32(limit)]);
  const penalty = op('Exp', add(next, mul(excess, proportional)));
  return { penalty: build.op('Reshape', [penalty, build.int64([], [0])]), next };
}
