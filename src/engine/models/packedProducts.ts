import { elementCount } from '../../protocol/dtypes';
import type { EditableWeight } from '../formats/onnx/edits';
import { editModel, type OnnxEditor } from '../formats/onnx/editModel';
import type { NodeProto } from '../formats/onnx/generated/onnx';
import { isStandard } from '../formats/onnx/walk';
import type { PlaneWidth } from '../kernels/host/packBits';
import { intAttribute } from './productUse';

/** A MatMulNBits node of the main graph whose weights are constants and whose activations are float32. */
export interface PackedProduct {
  readonly rows: number;
  readonly columns: number;
  readonly block: number;
  readonly bits: PlaneWidth;
  /** 0 (none given) to 3: float32 activations; 4: rounded to int8. */
  readonly accuracyLevel: number;
  /** Names of the stored weights. `scales` may be stored in a narrower type, with a Cast to float32 before the node. */
  readonly codes: string;
  readonly scales: string;
  readonly zeros: string | undefined;
  /** Bytes of the stored codes. */
  readonly packedBytes: number;
}

/** The same with its node in the editor's graph. */
export interface PackedProductNode extends PackedProduct {
  readonly node: NodeProto;
}

/** Products with packed weights in an ONNX file, from its headers. */
export async function findPackedProducts(path: string): Promise<readonly PackedProduct[]> {
  const editor = await editModel(path);
  try {
    return packedProductsOf(editor).map(({ node: _node, ...product }) => product);
  } finally {
    await editor.close();
  }
}

/** Equal for products of the same weights, such as a tied embedding that two nodes multiply with. */
export function weightsKey({ codes, scales, zeros, rows, columns, block, bits }: PackedProduct): string {
  return JSON.stringify([codes, scales, zeros, rows, columns, block, bits]);
}

/**
 * Products with packed weights in a model that is being edited. Left out, because the runtime alone knows how to compute them: weights that are inputs or made by
 * other nodes, permuted groups (g_idx), float16 activations, tensors whose size does not fit the node, blocks that the operator does not allow.
 */
export function packedProductsOf(editor: OnnxEditor): readonly PackedProductNode[] {
  const weights = editor.weights();
  const casts = new Map(editor.graph.node.filter(isCastToFloat32).map((node) => [node.output[0], node]));
  return editor.graph.node.flatMap((node) => {
    if (node.opType !== 'MatMulNBits' || node.domain !== 'com.microsoft') return [];
    const product = productOf(node, weights, casts);
    return product ? [{ ...product, node }] : [];
  });
}

const float32ElementType = 1;

function isCastToFloat32(node: NodeProto): boolean {
  return node.opType === 'Cast' && isStandard(node) && intAttribute(node, 'to', 0) === float32ElementType;
}

function productOf(
  node: NodeProto,
  weights: ReadonlyMap<string, EditableWeight>,
  casts: ReadonlyMap<string | undefined, NodeProto>,
): PackedProduct | undefined {
  const [, codes = '', scaleInput = '', zeros = '', groupIndex = ''] = node.input;
  const [rows, columns, block] = [intAttribute(node, 'N', 0), intAttribute(node, 'K', 0), intAttribute(node, 'block_size', 0)];
  const bits = intAttribute(node, 'bits', 4);
  if (groupIndex !== '' || rows < 1 || columns < 1 || block < 16 || !Number.isInteger(Math.log2(block))) return undefined;
  if (bits !== 2 && bits !== 4 && bits !== 8) return undefined;
  const cast = casts.get(scaleInput);
  const scales = cast?.input[0] ?? scaleInput;
  const stored = { codes: weights.get(codes), scales: weights.get(scales), zeros: weights.get(zeros) };
  const blocks = Math.ceil(columns / block);
  const fits =
    isStored(stored.codes, ['uint8'], (rows * blocks * block * bits) / 8) &&
    isStored(stored.scales, cast ? ['float16', 'bfloat16', 'float32'] : ['float32'], rows * blocks) &&
    (zeros === '' ||
      isStored(stored.zeros, ['uint8'], rows * Math.ceil((blocks * bits) / 8)) ||
      // The runtime refuses 8 bits with float zero points, whatever the text.
      (bits !== 8 && isStored(stored.zeros, ['float32'], rows * blocks)));
  if (!fits) return undefined;
  return {
    rows,
    columns,
    block,
    bits,
    accuracyLevel: intAttribute(node, 'accuracy_level', 0),
    codes,
    scales,
    zeros: zeros || undefined,
    packedBytes: (rows * blocks * block * bits) / 8,
  };
}

function isStored(weight: EditableWeight | undefined, dtypes: readonly string[], count: number): boolean {
  return weight !== undefined && dtypes.includes(weight.dtype) && elementCount(weight.shape) === count;
}
