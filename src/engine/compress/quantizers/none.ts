import { dtypes } from '../../../protocol/dtypes';
import { defineQuantizer } from './quantizer';

/** Compresses nothing: converts a model from one format to another. */
export const none = defineQuantizer({
  id: 'none',
  label: 'Keep the weights unchanged',
  summary:
    'Does not compress. Converts a model to another format: GGUF to a Hugging Face folder, and either of them to a float ONNX model.',
  source: { title: 'safetensors', url: 'https://huggingface.co/docs/safetensors' },
  parameters: [
    {
      key: 'dtype',
      label: 'Weight type',
      doc: 'Element type of the written weights; auto keeps the type of the source and writes quantised GGUF blocks as float16.',
      kind: 'choice',
      choices: ['auto', 'float32', 'float16', 'bfloat16'],
      default: 'auto',
    },
  ],
  needs: [],
  unit: 'tensor',
  mayLeaveAll: true,
  appliesTo: () => 'this method keeps the weights unchanged',
  writtenType: (stored, { dtype }) => {
    if (dtype === 'float32' || dtype === 'float16' || dtype === 'bfloat16') return dtype;
    return dtypes[stored].blockSize > 1 ? 'float16' : undefined;
  },
  layoutOf: ({ name }) => {
    throw notPlanned(name);
  },
  blockErrorLimit: () => 0,
  planBlock: ({ tensors }) => Promise.reject(notPlanned(tensors[0]?.tensor.name ?? '')),
});

function notPlanned(name: string): Error {
  return new Error(`The method none does not plan tensors, but was given '${name}'.`);
}
