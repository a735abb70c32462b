import type { CalibrationSourceName } from '../../../protocol/calibration';
import { randomSource } from './random';
import { selfSource } from './self';
import type { CalibrationSource } from './source';

/** Every source by its name. */
export const sources: Readonly<Record<CalibrationSourceName, CalibrationSource>> = { self: selfSource, random: randomSource };
