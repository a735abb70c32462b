import { LoomweightError } from '../../../protocol/errors';
import type { LearnSpec } from '../../../protocol/jobs';
import { findWeightMethod } from '../../train/methods/index';
import type { ModelSource } from '../../models/modelSource';
import { findWriter, outputWriters } from '../../outputs/writers';

/**
 * Refuses formats that cannot hold what a training will leave, before it starts. Whether a single tensor fits is seen when it is written.
 * Errors: `unsupported` with what to use instead.
 */
export function checkFormats(spec: Pick<LearnSpec, 'method' | 'parameters' | 'formats'>, source: ModelSource): void {
  for (const format of spec.formats) findWriter(format).check(source, new Map(), { trained: true });
  if (!findWeightMethod(spec.method).learnsWidths || spec.parameters['groupSize'] === 'tensor') return;
  const single = spec.formats.map(findWriter).find(({ mixesWidths, roundsLearned }) => !mixesWidths && !roundsLearned);
  if (!single) return;
  const others = outputWriters.filter(({ mixesWidths, roundsLearned }) => mixesWidths || roundsLearned).map(({ id }) => id);
  throw new LoomweightError(
    'unsupported',
    `The format ${single.id} stores one width per tensor, but widths are learned per group. Use --group-size tensor, or one of the formats ${others.join(', ')}.`,
    { format: single.id, groupSize: spec.parameters['groupSize'] },
  );
}
