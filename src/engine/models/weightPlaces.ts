import type { DType } from '../../protocol/dtypes';
import { dtypeOfElementType } from '../graph/elementTypes';
import type { EditableWeight } from '../formats/onnx/edits';
import type { OnnxEditor } from '../formats/onnx/editModel';
import type { NodeProto } from '../formats/onnx/generated/onnx';
import type { ValueUse } from '../formats/onnx/modelIndex';
import { isStandard } from '../formats/onnx/walk';
import { intAttribute, passing, productUse, type ProductUse } from './productUse';

/** A place where a weight is taken at last, behind nodes that only change its shape, order or type. */
export interface WeightPlace {
  readonly node: NodeProto;
  readonly input: number;
  /** Nodes between the weight and this place, in order. */
  readonly chain: readonly NodeProto[];
  /** Axis of the stored weight behind each axis at this place; undefined where a node mixed them. */
  readonly axes: readonly number[] | undefined;
  /** Type at this place. */
  readonly dtype: DType;
  readonly use: ProductUse | undefined;
}

/** How many nodes a weight may pass through: the chain in front of a place lists those on the way to it. */
const mostPassed = 10_000;

type Way = Pick<WeightPlace, 'chain' | 'axes' | 'dtype'>;

/**
 * All places where a weight is taken, with what the operator there does with it. The use is unknown where a weight passes through more than 10 000 nodes, or a node is
 * reached twice, as in the cycle of a damaged file.
 */
export function weightPlaces(editor: OnnxEditor, { shape, dtype, uses, isOutput }: EditableWeight): readonly WeightPlace[] {
  const places: WeightPlace[] = [];
  const passed = new Set<NodeProto>();
  // A list, no recursion: chains may be longer than the stack is deep. The next place is the last one.
  const waiting: (WeightPlace | (ValueUse & { readonly way: Way }))[] = [];
  const wait = (taken: readonly ValueUse[], way: Way): void => {
    for (const each of [...taken].reverse()) waiting.push({ ...each, way });
  };
  wait(uses, { chain: [], axes: shape.map((_, axis) => axis), dtype });
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (!('way' in next)) {
      places.push(next);
      continue;
    }
    const { node, input, way } = next;
    const output = node.output[0];
    if (input !== 0 || !isStandard(node) || !passing.has(node.opType) || output === undefined) {
      const rank = way.axes?.length;
      const use = productUse(node, input, rank ?? 2);
      // Where a Reshape mixed the axes nothing is known of those that are summed over.
      places.push({ ...way, node, input, use: use && rank === undefined ? { ...use, summed: undefined } : use });
    } else if (passed.has(node) || passed.size === mostPassed) places.push({ ...way, node, input, use: undefined });
    else {
      passed.add(node);
      const behind = { chain: [...way.chain, node], axes: axesBehind(node, way.axes), dtype: typeBehind(node, way.dtype) };
      if (editor.isOutput(output, node)) waiting.push({ ...behind, node, input, use: undefined });
      wait(editor.usesOf(output, node), behind);
    }
  }
  const [first] = uses;
  if (first && isOutput) places.push({ ...first, chain: [], axes: undefined, dtype, use: undefined });
  return places;
}

function axesBehind(node: NodeProto, axes: readonly number[] | undefined): readonly number[] | undefined {
  if (axes === undefined || node.opType === 'Identity' || node.opType === 'Cast') return axes;
  if (node.opType !== 'Transpose') return undefined;
  const order = node.attribute.find(({ name }) => name === 'perm')?.ints.map(Number) ?? axes.map((_, axis) => axes.length - 1 - axis);
  const turned = order.map((axis) => axes[axis < 0 ? axis + axes.length : axis]);
  return turned.every((axis) => axis !== undefined) && turned.length === axes.length ? turned : undefined;
}

function typeBehind(node: NodeProto, dtype: DType): DType {
  return node.opType === 'Cast' ? (dtypeOfElementType(intAttribute(node, 'to', 0)) ?? dtype) : dtype;
}
