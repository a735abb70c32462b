import { LoomweightError } from '../../../protocol/errors';
import type { ModelSource } from '../../models/modelSource';
import type { SourceDecoder } from '../../models/recognizeDecoder';
import type { Quantizer } from '../quantizers/quantizer';

/** The decoder that a method which plans block by block runs. Errors: `unsupported` for a model that is none, or of an architecture that cannot be built. */
export function requireDecoder({ decoder, container }: ModelSource, { id }: Pick<Quantizer, 'id'>): SourceDecoder {
  if (decoder) return decoder;
  throw new LoomweightError(
    'unsupported',
    `The method ${id} runs a language model block by block on calibration text, but ${container.path} is not a model directory with a supported architecture. Use the method rtn.`,
    { method: id, path: container.path },
  );
}
