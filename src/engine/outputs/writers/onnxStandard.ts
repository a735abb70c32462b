import { dequantizeLinear } from '../storage/dequantizeLinear';
import { embeddingRows } from '../storage/embeddingRows';
import { storeDequantized } from '../storage/learnedDequantize';
import type { MatrixForm } from '../storage/matrixForm';
import { storeMatrix } from '../storage/storedTensor';
import type { PlannedLayer } from '../planned/plannedStore';
import { codesOnly, isEmbedding, onnxWriter } from './onnxWriter';
import { formBits, layerBytes } from './sizes';

/** QuantizeLinear and DequantizeLinear: standard operators that every complete ONNX runtime has. */
export const onnxStandard = onnxWriter({
  id: 'onnx',
  label: 'ONNX, standard operators',
  summary: 'DequantizeLinear: any width, stored in 2, 4 or 8 bits. Portable. Writes a float model if nothing is compressed.',
  holdsFloat: true,
  comparing: 3,
  mixesWidths: false,
  unpacksAtLoad: false,
  file: () => 'model_quantized.onnx',
  refuses: (layer) => {
    const { layout } = layer;
    if (layout.kind === 'grouped') return formOf(layer).refuse(layout);
    if (layout.kind === 'learned' && layout.widthsByGroup)
      return 'the format onnx stores one width per tensor, but the groups of this one have several; use onnx-packed, archive or hf, or onnx-fast, which rounds again';
    return codesOnly('onnx', layout);
  },
  storedBits: (layer) => (layer.layout.kind === 'grouped' ? formBits(formOf(layer), layer.layout) : Infinity),
  store: (tensor, entry) => {
    if (tensor.kind === 'learned') return storeDequantized(tensor.tensor);
    if (tensor.kind === 'grouped') return storeMatrix(formOf(entry), tensor);
    throw new Error(`The format onnx cannot store a tensor of kind ${tensor.kind}.`);
  },
  bytesOf: (layer) => layerBytes(layer, { codeBits: (bits) => (bits <= 2 ? 2 : bits <= 4 ? 4 : 8) }),
  roundsActivations: ({ form }) => form === dequantizeLinear.id || form === embeddingRows.id,
});

function formOf(layer: PlannedLayer): MatrixForm {
  return isEmbedding(layer) ? embeddingRows : dequantizeLinear;
}
