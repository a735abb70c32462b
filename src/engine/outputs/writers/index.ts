import { LoomweightError } from '../../../protocol/errors';
import { archive } from './archive';
import type { OutputWriter } from './outputWriter';
import { huggingFace } from './huggingFace';
import { onnxFast } from './onnxFast';
import { onnxPacked } from './onnxPacked';
import { onnxStandard } from './onnxStandard';

/** Every output format. To add one: a file like onnxFast.ts and a line here. */
export const outputWriters: readonly OutputWriter[] = [huggingFace, onnxStandard, onnxFast, onnxPacked, archive];

/** The writer of a format. Throws `invalid-argument` that lists what there is. */
export function findWriter(id: string): OutputWriter {
  const found = outputWriters.find((writer) => writer.id === id);
  if (found) return found;
  throw new LoomweightError('invalid-argument', `Unknown format '${id}'. Formats: ${outputWriters.map((each) => each.id).join(', ')}.`, {
    format: id,
  });
}
