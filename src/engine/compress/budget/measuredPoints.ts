import type { HostThreads } from '../../kernels/host/threads/hostThreads';
import { LoomweightError } from '../../../protocol/errors';
import type { ParetoPoint } from '../../../protocol/report';
import { PlannedStore } from '../../outputs/planned/plannedStore';
import { planModel } from '../planning/planModel';
import { storeLimit } from '../planning/storeLimit';
import type { ChosenWidths } from './chosenWidths';
import { openHeldOut } from './heldOut/heldOut';
import type { HeldOut } from './heldOut/types';
import { measuring, type MeasureContext } from './measure';

/** What measuring is given: a folder for temporary files, and the threads of the job. */
type PointsContext = MeasureContext & { readonly folder: string; readonly threads: HostThreads };

/** A choice that was planned, and others that may be. */
export type PlannedChoice = Pick<ChosenWidths, 'plan' | 'bitsPerWeight' | 'at'> & { readonly store: PlannedStore };

/**
 * The loss that a choice adds to the float model, measured on what is held out of the calibration: of the choice that was planned, and of `spec.measure` others with
 * budgets spread evenly from half to twice its size, planned into temporary stores in `folder`. In rising order of bits; none where nothing is held out, with a note. Small
 * increases may come out negative.
 */
export async function measuredPoints(context: PointsContext, chosen: PlannedChoice): Promise<readonly ParetoPoint[]> {
  const more = context.spec.measure ?? 0;
  const heldOut = await openHeldOut(context).catch((error: unknown) => {
    // A model that cannot be run here is compressed all the same.
    if (!(error instanceof LoomweightError) || !['unsupported', 'insufficient-memory'].includes(error.code)) throw error;
    context.note(`The loss was not measured: ${error.message}`);
    return undefined;
  });
  if (!heldOut) return [];
  try {
    const others = [];
    const seen = new Set([chosen.bitsPerWeight]);
    for (let index = 0; index < more; index += 1) {
      const choice = chosen.at(chosen.bitsPerWeight * (0.5 + (1.5 * (index + 0.5)) / more));
      if (!choice || seen.has(choice.bitsPerWeight)) continue;
      seen.add(choice.bitsPerWeight);
      others.push(choice);
    }
    const total = others.length + 2;
    measuring(context, 0, total);
    const float = await heldOut.loss(undefined);
    measuring(context, 1, total);
    const added = (await heldOut.loss(chosen.store)) - float;
    const points: ParetoPoint[] = [{ bitsPerWeight: chosen.bitsPerWeight, loss: added, measured: true }];
    for (const { plan, bitsPerWeight } of others) {
      measuring(context, points.length + 1, total);
      points.push({ bitsPerWeight, loss: (await lossOf(context, plan, heldOut)) - float, measured: true });
    }
    context.note(
      `The chosen widths add ${added.toFixed(4)} nats to the loss of the float model (${float.toFixed(4)}) on ${heldOut.description}.`,
    );
    return points.sort((a, b) => a.bitsPerWeight - b.bitsPerWeight);
  } finally {
    await heldOut.release();
  }
}

async function lossOf(context: PointsContext, plan: PlannedChoice['plan'], heldOut: HeldOut): Promise<number> {
  // The store of the choice that is written holds the file name of the folder.
  const store = new PlannedStore(context.folder, storeLimit(context.memoryLimit), '.planned-measured');
  try {
    const { source, threads, folder, spec } = context;
    const { calibration, samples, window } = spec;
    // What planning notes was noted for the choice that is written.
    await planModel(
      { source, plan, store, threads, folder, calibration, samples, window },
      { ...context, note: () => undefined },
      () => undefined,
    );
    return await heldOut.loss(store);
  } finally {
    await store.dispose();
  }
}
