import { ownEntry } from '../../../common/ownEntry';
import type { CalibrateSpec, calibrationSources } from '../../../protocol/calibration';
import { randomSource } from './random';
import { selfSource } from './self';
import type { CalibrationSource } from './source';
import { prefixSource, textSource } from './text';

/** Sources that need no text, by their name. */
const named: Readonly<Record<(typeof calibrationSources)[number], CalibrationSource>> = { self: selfSource, random: randomSource };

/** The source that a specification asks for: a name, or a text, as it is or continued. */
export function sourceOf({ source, prefix }: Pick<CalibrateSpec, 'source' | 'prefix'>): CalibrationSource {
  return ownEntry(named, source) ?? (prefix === undefined ? textSource : prefixSource);
}
