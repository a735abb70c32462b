import type { MeasureContext } from '../measure';
import { heldOutData } from './heldOutData';
import { heldOutText } from './heldOutText';
import type { HeldOut } from './types';

/** What is held out of the calibration; undefined without calibration, for random inputs, and where nothing is left. */
export async function openHeldOut(context: MeasureContext): Promise<HeldOut | undefined> {
  const { spec, source, calibration } = context;
  if (calibration === undefined || spec.calibration === undefined || spec.calibration === 'random') return undefined;
  if (source.decoder) return heldOutText(context, source.decoder.config, spec.calibration);
  return source.container.graph ? heldOutData(context, source.container.graph.inputs, calibration) : undefined;
}
