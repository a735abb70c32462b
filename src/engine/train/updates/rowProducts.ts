import type { CustomGradient, RowwiseGradient } from '../../autodiff/differentiate';
import type { Node, Value } from '../../graph/graph';
import { staticShape } from '../../ops/gradients';
import type { PlannedStep, TrainedTensor } from './updatePlanner';

/** The one product that uses a trained matrix as its right operand, straight or through a method's region. */
export interface RowProduct {
  readonly node: Node;
  readonly x: Value;
  /** Operand of the product for the tensor: the tensor itself, or the region's value of it. */
  readonly used: Value;
  readonly bias?: Value;
  /** True if x depends on anything trained. */
  readonly needsX: boolean;
  /** Rows of a block. */
  readonly rows: number;
  readonly region?: CustomGradient & { readonly rows: RowwiseGradient };
}

/** Finds that product. Undefined if the loss depends on the tensor in any other way, or the product has another form. */
export function findRowProduct(step: PlannedStep, tensor: TrainedTensor, rows: number): RowProduct | undefined {
  const { nodes, regions, target } = step;
  const region = regions.find(({ rows: own, inputs }) => own?.input === tensor.value && inputs.includes(tensor.value));
  if (region && ((region.rows as RowwiseGradient).multiple > rows || rows % (region.rows as RowwiseGradient).multiple !== 0))
    return undefined;
  const used = region ? region.output : tensor.value;
  const users = nodes.filter(({ inputs }) => inputs.includes(used));
  const [node] = users;
  if (node === undefined || users.length !== 1 || !isPlainProduct(node, used)) return undefined;
  const [output] = node.outputs as [Value];
  const customs = new Map(regions.map((each) => [each.output, each]));
  // The rules of operators are not used inside a region, so a product there is not ours.
  if (customs.has(output) || dependsOn(nodes, customs, [tensor.value], [output], target)) return undefined;
  const [x, , bias] = node.inputs as [Value, Value, Value | undefined];
  if (staticShape(x).length < 2) return undefined;
  const trained = step.tensors.map(({ value }) => value);
  return {
    node,
    x,
    used,
    ...(bias ? { bias } : {}),
    needsX: dependsOn(nodes, customs, trained, [], x),
    rows,
    ...(region ? { region: region as RowProduct['region'] & object } : {}),
  };
}

/** MatMul(x, w) or Gemm(x, w, bias) without factors and transpositions. */
function isPlainProduct({ op, domain, inputs, attributes }: Node, weight: Value): boolean {
  if (domain !== '' || inputs[1] !== weight || inputs[0] === weight || inputs[2] === weight) return false;
  if (op === 'MatMul') return true;
  const number = (name: string, fallback: number): number => {
    const attribute = attributes[name];
    return attribute?.kind === 'int' || attribute?.kind === 'float' ? attribute.value : fallback;
  };
  return op === 'Gemm' && number('transA', 0) === 0 && number('transB', 0) === 0 && number('alpha', 1) === 1 && number('beta', 1) === 1;
}

/** Whether `target` takes gradient from any of `from` on a way that does not lead through `without`. */
function dependsOn(
  nodes: readonly Node[],
  customs: ReadonlyMap<Value, CustomGradient>,
  from: readonly Value[],
  without: readonly Value[],
  target: Value,
): boolean {
  const reached = new Set<Value>(from);
  for (const node of nodes)
    for (const output of node.outputs) {
      if (!output || without.includes(output)) continue;
      const inputs = customs.get(output)?.inputs ?? node.inputs;
      if (inputs.some((input) => input && reached.has(input))) reached.add(output);
    }
  return reached.has(target);
}
