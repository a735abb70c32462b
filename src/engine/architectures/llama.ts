import type { DecoderArchitecture } from './architecture';
import { flag } from './decoder/configReader';
import { expectedDecoderTensors } from './decoder/expectedTensors';
import { buildDecoderLanguageModel } from './decoder/languageModel';
import { decoderScaleFolds, linkedDecoderAxes } from './decoder/linkedAxes';
import { readDecoderConfig } from './decoder/readDecoderConfig';

/** Llama 1 to 3.x and models that use its name: grouped heads, SwiGLU, RMS norm, optional biases. */
export const llama: DecoderArchitecture = {
  names: ['LlamaForCausalLM', 'LLaMAForCausalLM'],
  readConfig: (config) => {
    const attention = flag(config, 'attention_bias', false);
    return readDecoderConfig(config, {
      architecture: 'LlamaForCausalLM',
      contextLength: 2048,
      biases: { queryKeyValue: attention, output: attention, mlp: flag(config, 'mlp_bias', false) },
    });
  },
  expectedTensors: expectedDecoderTensors,
  linkedAxes: linkedDecoderAxes,
  scaleFolds: decoderScaleFolds,
  buildLanguageModel: buildDecoderLanguageModel,
};
