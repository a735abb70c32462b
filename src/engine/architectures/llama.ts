import type { DecoderArchitecture } from './architecture';
import { flag } from './decoder/configReader';
import { expectedDecoderTensors } from './decoder/expectedTensors';
import { buildDecoderLanguageModel } from './decoder/languageModel';
import { decoderScaleFolds, linkedDecoderAxes } from './decoder/linkedAxes';
import { readDecoderConfig } from './decoder/readDecoderConfig';

/** Llama 1 to 3.x and models that use its name: grouped heads, SwiGLU, RMS norm, optional biases. */
export const llama: DecoderArchitecture = {
  names: ['LlamaForCausalLM', 'LLaMAForCausalLM'],
  readConfig: (config, options) => {
    const attention = flag(config, 'attention_bias', false);
    const biases = { queryKeyValue: attention, output: attention, mlp: flag(config, 'mlp_bias', false) };
    return readDecoderConfig(config, { architecture: 'LlamaForCausalLM', contextLength: 2048, biases }, options);
  },
  expectedTensors: expectedDecoderTensors,
  linkedAxes: linkedDecoderAxes,
  scaleFolds: decoderScaleFolds,
  buildLanguageModel: buildDecoderLanguageModel,
};
