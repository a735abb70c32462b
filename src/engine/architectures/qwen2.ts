import type { DecoderArchitecture } from './architecture';
import { flag, malformed, wholeNumber, type RawConfig } from './decoder/configReader';
import { expectedDecoderTensors } from './decoder/expectedTensors';
import { buildDecoderLanguageModel } from './decoder/languageModel';
import { decoderScaleFolds, linkedDecoderAxes } from './decoder/linkedAxes';
import { readDecoderConfig } from './decoder/readDecoderConfig';

/**
 * Qwen 2 and 2.5: like Llama, with biases on q, k and v; a sliding window only with `use_sliding_window`, and then only from a certain
 * block on.
 */
export const qwen2: DecoderArchitecture = {
  names: ['Qwen2ForCausalLM'],
  readConfig: (config, options) => {
    const biases = { queryKeyValue: true, output: false, mlp: false };
    return readDecoderConfig(config, { architecture: 'Qwen2ForCausalLM', contextLength: 32768, biases, ...slidingWindow(config) }, options);
  },
  expectedTensors: expectedDecoderTensors,
  linkedAxes: linkedDecoderAxes,
  scaleFolds: decoderScaleFolds,
  buildLanguageModel: buildDecoderLanguageModel,
};

function slidingWindow(config: RawConfig): { readonly slidingWindow?: number; readonly windowedBlocks?: readonly boolean[] } {
  if (!flag(config, 'use_sliding_window', false) || config['sliding_window'] === null) return {};
  const layers = wholeNumber(config, 'num_hidden_layers');
  return { slidingWindow: wholeNumber(config, 'sliding_window', 4096), windowedBlocks: windowedBlocks(config, layers) };
}

/** `layer_types` if present; otherwise every block from `max_window_layers` on. */
function windowedBlocks(config: RawConfig, layers: number): readonly boolean[] {
  const types = config['layer_types'];
  if (types !== undefined && types !== null) {
    if (!Array.isArray(types) || types.length !== layers) throw malformed('layer_types', `a list of ${layers} names`, types);
    return types.map((type) => type === 'sliding_attention');
  }
  const first = config['max_window_layers'] === 0 ? 0 : wholeNumber(config, 'max_window_layers', 28);
  return Array.from({ length: layers }, (_, block) => block >= first);
}
