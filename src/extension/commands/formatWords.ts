import { fastKernelBits } from '../../common/fastKernels';
import type { OutputFormat } from '../../protocol/jobs';

/** Output formats as people choose them: name and what it is good for. */
export const formatWords: Readonly<Record<OutputFormat, readonly [label: string, detail: string]>> = {
  hf: [
    'Hugging Face folder',
    "safetensors with the rounded weights in the model's own type: no smaller file, but loads in transformers unchanged",
  ],
  onnx: ['ONNX, portable', 'QuantizeLinear and DequantizeLinear; runs everywhere'],
  'onnx-fast': ['ONNX, fast', 'MatMulNBits: small in memory, fast for one token; 2, 4 or 8 bits'],
  'onnx-packed': ['ONNX, packed', 'any width, smallest file with standard operators; unpacked when loaded'],
  archive: ['Archive', 'bit planes, the smallest file; Loomweight reads it back exactly'],
};

/** Widths in bits that a format stores, where it does not store every one. A test compares them with the writers. */
export const formatWidths: Readonly<Partial<Record<OutputFormat, readonly number[]>>> = { 'onnx-fast': fastKernelBits };

/** True for a format whose file is no smaller than the source's: rounded values in a float type. */
export function savesNothing(format: OutputFormat): boolean {
  return format === 'hf';
}
