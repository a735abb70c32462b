import type { DecoderArchitecture } from './architecture';
import { wholeNumber } from './decoder/configReader';
import { expectedDecoderTensors } from './decoder/expectedTensors';
import { buildDecoderLanguageModel } from './decoder/languageModel';
import { decoderScaleFolds, linkedDecoderAxes } from './decoder/linkedAxes';
import { readDecoderConfig } from './decoder/readDecoderConfig';

/** Mistral: like Llama, with a sliding window over the keys in every block unless `sliding_window` is null. */
export const mistral: DecoderArchitecture = {
  names: ['MistralForCausalLM'],
  readConfig: (config, options) => {
    // The first Mistral has 4096, which is the default if the entry is missing; null means no window.
    const slidingWindow = config['sliding_window'] === null ? undefined : wholeNumber(config, 'sliding_window', 4096);
    const biases = { queryKeyValue: false, output: false, mlp: false };
    const window = slidingWindow === undefined ? {} : { slidingWindow };
    return readDecoderConfig(config, { architecture: 'MistralForCausalLM', contextLength: 131072, biases, ...window }, options);
  },
  expectedTensors: expectedDecoderTensors,
  linkedAxes: linkedDecoderAxes,
  scaleFolds: decoderScaleFolds,
  buildLanguageModel: buildDecoderLanguageModel,
};
