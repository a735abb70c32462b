import { fastKernelBits } from '../../../common/fastKernels';
import { dequantizeLinear } from '../storage/dequantizeLinear';
import { matMulNBits } from '../storage/matMulNBits';
import { storeMatrix } from '../storage/storedTensor';
import type { QuantizedMatrix } from '../planned/plannedTensor';
import { codesOnly, commonBits, onnxWriter } from './onnxWriter';
import { formBits, layerBytes } from './sizes';

/** MatMulNBits: fast and small in memory, on runtimes that have Microsoft's operators. Learned widths are rounded again to those that the kernels have. */
export const onnxFast = onnxWriter({
  id: 'onnx-fast',
  label: 'ONNX, fast kernels',
  summary: 'MatMulNBits of ONNX Runtime: 2, 4 or 8 bits, groups of 16 to 256 or whole rows. Small on disk and in memory.',
  comparing: 2.6,
  mixesWidths: false,
  needsProducts: true,
  unpacksAtLoad: false,
  file: (layers) => `model_q${commonBits(layers)}.onnx`,
  refuses: ({ layout }) =>
    layout.kind === 'learned'
      ? 'its kernels support only codes with scales'
      : (codesOnly('onnx-fast', layout) ?? (layout.kind === 'grouped' ? matMulNBits.refuse(layout) : undefined)),
  storedBits: ({ layout }) => (layout.kind === 'grouped' ? formBits(matMulNBits, layout) : Infinity),
  roundsLearned: {
    widths: fastKernelBits,
    groupSize: 32,
    fits: ({ role, storedShape }, { container }) =>
      container.format === 'onnx' ? role === 'linear' || role === 'convolution' : storedShape.length === 2,
  },
  store: (tensor, _entry, linear) => storeMatrix(linear ? matMulNBits : dequantizeLinear, tensor as QuantizedMatrix),
  bytesOf: (layer) =>
    layerBytes(layer, { codeBits: (bits) => bits, scaleBits: layer.layout.kind === 'grouped' && layer.layout.bits === 4 ? 1 : 2 }),
  // 4 bits run with exact activations; what no fast kernel takes is stored for DequantizeLinear, which the runtime fuses with a product.
  roundsActivations: ({ form, details }, { role }) => (form === matMulNBits.id ? details['bits'] !== 4 : role !== 'convolution'),
});
