import { LoomweightError } from '../../../protocol/errors';
import type { ParetoPoint } from '../../../protocol/report';
import type { CompressPlan } from '../plan';
import { openHeldOut } from './heldOut/heldOut';
import type { MeasureContext } from './measure';

/** A choice of widths that can be measured. */
export interface MeasurableChoice {
  readonly plan: CompressPlan;
  readonly bitsPerWeight: number;
}

/**
 * The loss that a choice adds to the float model, measured on what is held out of the calibration: of the choice that was made, and of `spec.measure` others with
 * budgets spread evenly from half to twice its size. In rising order of bits; none where nothing is held out, which a note tells. Small increases may come out negative.
 */
export async function measuredPoints(
  context: MeasureContext,
  chosen: MeasurableChoice,
  at: (bitsPerWeight: number) => MeasurableChoice | undefined,
): Promise<readonly ParetoPoint[]> {
  const more = context.spec.measure ?? 0;
  const heldOut = await openHeldOut(context).catch((error: unknown) => {
    // A model that cannot be run here is compressed all the same.
    if (!(error instanceof LoomweightError) || !['unsupported', 'insufficient-memory'].includes(error.code)) throw error;
    context.note(`The loss was not measured: ${error.message}`);
    return undefined;
  });
  if (!heldOut) return [];
  try {
    const choices = [chosen];
    for (let index = 0; index < more; index += 1) {
      const choice = at(chosen.bitsPerWeight * (0.5 + (1.5 * (index + 0.5)) / more));
      if (choice && !choices.some(({ bitsPerWeight }) => bitsPerWeight === choice.bitsPerWeight)) choices.push(choice);
    }
    const total = choices.length + 1;
    context.progress(0, total);
    const float = await heldOut.loss(new Map());
    const points: ParetoPoint[] = [];
    for (const { plan, bitsPerWeight } of choices) {
      context.progress(points.length + 1, total);
      points.push({ bitsPerWeight, loss: (await heldOut.loss(plan)) - float, measured: true });
    }
    context.note(
      `The chosen widths add ${(points[0]?.loss ?? 0).toFixed(4)} nats to the loss of the float model (${float.toFixed(4)}) on ${heldOut.description}.`,
    );
    return points.sort((a, b) => a.bitsPerWeight - b.bitsPerWeight);
  } finally {
    await heldOut.release();
  }
}
