import { LoomweightError } from '../../../protocol/errors';
import type { LearnSpec } from '../../../protocol/jobs';
import { findWeightMethod } from '../../train/methods/index';
import type { ModelSource } from '../../models/modelSource';
import { findWriter } from '../../outputs/writers';

/**
 * Refuses formats that cannot hold what a training will leave, before it starts. Whether a single tensor fits is seen when it is written.
 * Errors: `unsupported` with what to take instead.
 */
export function checkFormats(spec: Pick<LearnSpec, 'method' | 'parameters' | 'formats'>, source: ModelSource): void {
  for (const format of spec.formats) findWriter(format).check(source, new Map(), { trained: true });
  if (!spec.formats.includes('onnx') || !findWeightMethod(spec.method).learnsWidths || spec.parameters['groupSize'] === 'tensor') return;
  throw new LoomweightError(
    'unsupported',
    'The format onnx has one width for a whole tensor, and widths would be learned for groups. Take --group-size tensor, or one of the formats onnx-packed, archive, hf and onnx-fast, which rounds anew.',
    { format: 'onnx', groupSize: spec.parameters['groupSize'] },
  );
}
