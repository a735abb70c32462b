import { LoomweightError } from '../../../protocol/errors';
import { archive } from './archive';
import type { Exporter } from './exporter';
import { huggingFace } from './huggingFace';
import { onnxFast } from './onnxFast';
import { onnxPacked } from './onnxPacked';
import { onnxStandard } from './onnxStandard';

/** Every output format. */
export const exporters: readonly Exporter[] = [huggingFace, onnxStandard, onnxFast, onnxPacked, archive];

/** The exporter of a format. Throws `invalid-argument` that lists what there is. */
export function findExporter(id: string): Exporter {
  const found = exporters.find((exporter) => exporter.id === id);
  if (found) return found;
  throw new LoomweightError('invalid-argument', `There is no format '${id}'. Formats: ${exporters.map((each) => each.id).join(', ')}.`, {
    format: id,
  });
}
