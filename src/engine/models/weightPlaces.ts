import type { DType } from '../../protocol/dtypes';
import { dtypeOfElementType } from '../graph/elementTypes';
import type { EditableWeight, OnnxEditor } from '../formats/onnx/editModel';
import type { NodeProto } from '../formats/onnx/generated/onnx';
import { intAttribute, isStandard, passing, productUse, type ProductUse } from './productUse';

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

/** How many nodes a weight may pass through, and how many places are looked at. */
const mostNodes = 10_000;

/** All places where a weight is taken, with what the operator there does with it. */
export function weightPlaces(editor: OnnxEditor, { name, shape, dtype, uses }: EditableWeight): readonly WeightPlace[] {
  const places: WeightPlace[] = [];
  let visited = 0;
  const visit = (taken: EditableWeight['uses'], before: Pick<WeightPlace, 'chain' | 'axes' | 'dtype'>): void => {
    for (const { node, input } of taken) {
      visited += 1;
      if (visited > mostNodes) return;
      const output = node.output[0];
      if (input === 0 && isStandard(node) && passing.has(node.opType) && output !== undefined) {
        const next = { chain: [...before.chain, node], axes: axesBehind(node, before.axes), dtype: typeBehind(node, before.dtype) };
        visit(editor.usesOf(output, node), next);
        if (editor.isOutput(output, node)) places.push({ ...next, node, input, use: undefined });
      } else {
        const rank = before.axes?.length;
        const use = productUse(node, input, rank ?? 2);
        // Where a Reshape mixed the axes nothing is known of those that are summed over.
        places.push({ ...before, node, input, use: use && rank === undefined ? { ...use, summed: undefined } : use });
      }
    }
  };
  visit(uses, { chain: [], axes: shape.map((_, axis) => axis), dtype });
  const [first] = uses;
  if (first && editor.isOutput(name, first.node)) places.push({ ...first, chain: [], axes: undefined, dtype, use: undefined });
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
