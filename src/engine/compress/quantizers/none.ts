import { dtypes } from '../../../protocol/dtypes';
import { defineQuantizer } from './quantizer';

/** Compresses nothing: converts a model from one format to another. */
export const none = defineQuantizer({
  id: 'none',
  label: 'Keep the weights as they are',
  summary:
    'Compresses nothing. Converts a model to another format: GGUF to a Hugging Face directory, either of them to a float ONNX model.',
  source: { title: 'safetensors', url: 'https://huggingface.co/docs/safetensors' },
  parameters: [
    {
      key: 'dtype',
      label: 'Type of the weights',
      doc: 'Type in which weights are written; auto keeps the type of the source, and writes quantised blocks of GGUF as float16.',
      kind: 'choice',
      choices: ['auto', 'float32', 'float16', 'bfloat16'],
      default: 'auto',
    },
  ],
  needs: [],
  mayLeaveAll: true,
  appliesTo: () => 'this method keeps the weights as they are',
  writtenType: (stored, { dtype }) => {
    if (dtype === 'float32' || dtype === 'float16' || dtype === 'bfloat16') return dtype;
    return dtypes[stored].blockSize > 1 ? 'float16' : undefined;
  },
  estimate: () => ({ codeBits: 0, scaleBits: 0, zeroPointBits: 0 }),
  blockErrorLimit: () => 0,
  plan: ({ tensor }) => {
    throw new Error(`The method none plans no tensor, ${tensor.name} was offered.`);
  },
});
