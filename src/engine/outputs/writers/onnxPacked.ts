import { embeddingRows } from '../storage/embeddingRows';
import { storeLearned } from '../storage/learnedPacked';
import type { MatrixForm } from '../storage/matrixForm';
import { storeMixedMatrix } from '../storage/mixedMatrix';
import { selfUnpacking } from '../storage/selfUnpacking';
import { refuseSparse, storeSparse } from '../storage/sparseMatrix';
import { storeMatrix, type EncodedTensor } from '../storage/storedTensor';
import type { PlannedLayer } from '../planned/plannedStore';
import { sizeBits } from '../planned/plannedSizes';
import type { MatrixLayout, PlannedTensor, QuantizedMatrix } from '../planned/plannedTensor';
import { isEmbedding, onnxWriter } from './onnxWriter';
import { formBits, layerBytes, mixedFormBits } from './sizes';

const form = selfUnpacking();

/** Packed integers with standard operators that rebuild float weights once, at load. */
export const onnxPacked = onnxWriter({
  id: 'onnx-packed',
  label: 'ONNX, self-unpacking',
  summary: 'Any width from 1 to 8 bits, exactly packed; standard operators unpack the weights to float when the model is loaded.',
  comparing: 9.5,
  mixesWidths: true,
  unpacksAtLoad: true,
  file: () => 'model.onnx',
  refuses: (layer) => (layer.layout.kind === 'sparse' ? refuseSparse(layer.layout) : undefined),
  storedBits: (layer, groupBits) => {
    const { layout, size } = layer;
    if (layout.kind !== 'grouped') return sizeBits(size);
    return groupBits ? mixedFormBits(storeMixedMatrix, layout, groupBits) : formBits(formOf(layer, layout), layout);
  },
  store: (tensor, entry) => store(tensor, entry),
  bytesOf: layerBytes,
  roundsActivations: () => false,
});

/** Rows of embeddings are looked up packed; sorted columns and zero points between the levels unpack as a whole. */
function formOf(layer: PlannedLayer, layout: MatrixLayout): MatrixForm {
  return isEmbedding(layer) && embeddingRows.refuse(layout) === undefined ? embeddingRows : form;
}

function store(tensor: PlannedTensor, layer: PlannedLayer): EncodedTensor {
  switch (tensor.kind) {
    case 'learned':
      return storeLearned(tensor.tensor);
    case 'sparse':
      return storeSparse(tensor);
    case 'grouped':
      return hasGroupBits(tensor) ? storeMixedMatrix(tensor) : storeMatrix(formOf(layer, layer.layout as MatrixLayout), tensor);
    case 'plain':
      throw new Error(`Plain values of '${layer.name}' are not packed.`);
  }
}

function hasGroupBits(matrix: QuantizedMatrix): matrix is QuantizedMatrix & { readonly groupBits: Uint8Array } {
  return matrix.groupBits !== undefined;
}
