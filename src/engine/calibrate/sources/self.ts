import { LoomweightError } from '../../../protocol/errors';
import type { TextModel } from '../../generate/openTextModel';
import type { CalibrationSource } from './source';
import { describeWriting, writeSequences, writingBatch } from './writeSequences';

/**
 * The model's own text: sequences from the start token alone. Behind an end token the next document starts in the same sequence. Source: Williams, Chrysostomou, Aletras, "Self-calibration for
 * Language Model Quantization and Pruning", 2025.
 */
export const selfSource: CalibrationSource = {
  name: 'self',
  describe: (request) => {
    const start = startOf(request.model.beginning);
    return [`written by the model from BOS ${start.id} (${start.source}) alone`, ...describeWriting(request)];
  },
  written: ({ spec, length }) => spec.samples * (length - 1),
  batch: writingBatch,
  sequences: (request) => {
    const start = startOf(request.model.beginning).id;
    return writeSequences(
      Array.from({ length: request.spec.samples }, () => [start]),
      request,
    );
  },
};

function startOf(beginning: TextModel['beginning']): { readonly id: number; readonly source: string } {
  if (beginning) return beginning;
  throw new LoomweightError(
    'unsupported',
    'The source self requires a start token that the model can write from, but neither tokenizer_config.json nor config.json names one. ' +
      'Set bos_token_id in config.json, or use another source.',
    {},
  );
}
