import type { CustomGradient, RowwiseGradient } from '../../autodiff/differentiate';
import { int } from '../../graph/builder';
import type { GraphBuilder } from '../../graph/builder';
import type { Node, Value } from '../../graph/graph';
import { reshaped, staticShape, sumToShapeOf } from '../../ops/gradients';
import type { MultiplyAdd } from '../optimizers/optimizer';
import type { StateTensor } from '../state';
import { blockRows } from './blockRows';
import { findRowProduct, type RowProduct } from './rowProducts';
import type { PlannedStep, TrainedTensor, UpdatedTensor, UpdatePlan, UpdatePlanner } from './updatePlanner';

/** More rows of a batch than this make a product that no longer waits for memory: nothing is gained, and the weights' blocks cost. */
const mostBatchRows = 512;

/**
 * Updates for matrices too large for the cache. The gradient of a weight that one product uses is never held whole: a Scan over blocks of its rows makes a
 * block of the gradient and updates that block of the weight and its slots while they are in the cache, which nearly halves the traffic with memory. Methods
 * whose regions say what they need of each block (`rows`) take part. All other tensors get their gradient and update whole.
 */
export function rowBlockUpdates(multiplyAdd: MultiplyAdd): UpdatePlanner {
  return {
    carriedShape: (state) => carriedShape(state),
    plan: (step) => planStep(step, multiplyAdd),
  };
}

function carriedShape({ shape, group }: StateTensor): readonly number[] {
  const rows = group === undefined ? undefined : blockRows(shape);
  return rows === undefined ? shape : [(shape[0] as number) / rows, rows, shape[1] as number];
}

function planStep(step: PlannedStep, multiplyAdd: MultiplyAdd): UpdatePlan {
  const updated = new Map<TrainedTensor, UpdatedTensor>();
  const regions = step.clipped
    ? []
    : step.tensors.flatMap((tensor) => {
        const rows = blockRows(tensor.state.shape);
        const product = rows === undefined ? undefined : findRowProduct(step, tensor, rows);
        if (product === undefined || batchRowsOf(product) > mostBatchRows) return [];
        return [blockwiseRegion(product, tensor, multiplyAdd, (result) => updated.set(tensor, result))];
      });
  return {
    regions,
    finish: (gradientOf) => {
      const { build } = step;
      for (const tensor of step.tensors) {
        const gradient = updated.has(tensor) ? undefined : gradientOf(tensor);
        if (gradient === undefined) continue;
        const { carried, slots, scalars, optimizer } = tensor;
        const inputs = { value: carried, gradient: reshaped(build, gradient, staticShape(carried)), slots, scalars };
        updated.set(tensor, optimizer.update(build, inputs, staticShape(carried).length > 1 ? multiplyAdd : undefined));
      }
      return updated;
    },
  };
}

const batchRowsOf = ({ x }: RowProduct): number =>
  staticShape(x)
    .slice(0, -1)
    .reduce((product, length) => product * length, 1);

/** The product with its weight's gradient kept back: the gradient goes into the update block by block. */
function blockwiseRegion(
  product: RowProduct,
  tensor: TrainedTensor,
  multiplyAdd: MultiplyAdd,
  done: (result: UpdatedTensor) => void,
): CustomGradient {
  const { node, x, used, bias, needsX, region } = product;
  const [output] = node.outputs as [Value];
  const others = region?.inputs.filter((input) => input !== tensor.value) ?? [];
  return {
    output,
    inputs: [x, ...(bias ? [bias] : []), ...others, tensor.value],
    gradient: (build, dy) => {
      const columns = staticShape(dy).at(-1) as number;
      const dyRows = reshaped(build, dy, [-1, columns]);
      // (w dy^T)^T: the product uses its left operand in place and packs the right one, which is small.
      const turned = (value: Value): Value => build.op('Transpose', [value]);
      const dx = needsX ? reshaped(build, turned(build.op('MatMul', [used, turned(dyRows)])), staticShape(x)) : undefined;
      const { result, kept } = blockwiseUpdate(build, product, tensor, dyRows, multiplyAdd);
      done(result);
      return [dx, ...(bias ? [sumToShapeOf(build, dy, bias)] : []), ...(region?.rows.gradient(build, kept) ?? []), undefined];
    },
  };
}

function blockwiseUpdate(
  build: GraphBuilder,
  { x, node, rows, region }: RowProduct,
  tensor: TrainedTensor,
  dy: Value,
  multiplyAdd: MultiplyAdd,
): { readonly result: UpdatedTensor; readonly kept: readonly Value[] } {
  const inputs = tensor.state.shape[0] as number;
  const blocks = inputs / rows;
  const xRows = reshaped(build, x, [-1, inputs]);
  const corrected = region?.rows.corrections
    ? withCorrections(build, { x: xRows, dy, node }, tensor, region.rows)
    : { left: xRows, right: dy };
  const left = build.op('Reshape', [build.op('Transpose', [corrected.left]), build.int64([blocks, rows, -1])]);
  const slotNames = tensor.optimizer.slots;
  const beside = region?.rows.beside ?? [];
  const cut = [
    left,
    tensor.carried,
    ...slotNames.map((name) => tensor.slots[name] as Value),
    ...beside.map((value) => inBlocks(build, value, blocks)),
  ];
  const body = build.subgraph(`${tensor.state.key}/block`);
  const [leftBlock, valueBlock, ...rest] = cut.map((value, index) =>
    body.input(`${tensor.state.key}/block${index}`, { dtype: value.type.dtype, shape: value.type.shape?.slice(1) }),
  ) as [Value, Value, ...Value[]];
  const gradient = body.op('MatMul', [leftBlock, corrected.right]);
  const slots = Object.fromEntries(slotNames.map((name, index) => [name, rest[index] as Value]));
  const made = tensor.optimizer.update(body, { value: valueBlock, gradient, slots, scalars: tensor.scalars }, multiplyAdd);
  const reduced = region?.rows.reduce(body, gradient, rest.slice(slotNames.length)) ?? [];
  const outputs = [made.value, ...slotNames.map((name) => made.slots[name] as Value), ...reduced];
  for (const value of outputs) body.output(value);
  const [value, ...stacked] = build.node(
    'Scan',
    cut,
    { body: { kind: 'graph', value: body.finish() }, num_scan_inputs: int(cut.length) },
    { outputs: outputs.length, name: `${tensor.state.key}/update` },
  ) as [Value, ...Value[]];
  return {
    result: { value, slots: Object.fromEntries(slotNames.map((name, index) => [name, stacked[index] as Value])) },
    kept: stacked.slice(slotNames.length),
  };
}

/**
 * Gradients of single entries that depend on the whole gradient, which is known only behind the last block: their sum G (w' - w) is that of dy (z' - z), with
 * z = x w + bias computed again from the current weights. The entries join the product as further rows.
 */
function withCorrections(
  build: GraphBuilder,
  { x, dy, node }: { readonly x: Value; readonly dy: Value; readonly node: Node },
  { value }: TrainedTensor,
  { corrections }: RowwiseGradient,
): { readonly left: Value; readonly right: Value } {
  const [output, bias] = [node.outputs[0] as Value, node.inputs[2]];
  const noisy = reshaped(build, output, staticShape(dy));
  const clean = build.op('Gemm', [x, value, ...(bias ? [bias] : [])]);
  const difference = build.op('Mul', [build.op('Sub', [noisy, clean]), dy]);
  const dot = build.op('ReduceSum', [difference], { keepdims: int(0) });
  const inputs = build.int64([staticShape(value)[0] as number]);
  const extra = corrections?.(build, dot) ?? [];
  const oneHot = (rows: Value): Value => build.op('OneHot', [rows, inputs, build.float32([0, 1])]);
  return {
    left: build.op('Concat', [x, ...extra.map(({ rows }) => oneHot(rows))], { axis: int(0) }),
    right: build.op('Concat', [dy, ...extra.map(({ values }) => values)], { axis: int(0) }),
  };
}

/** [K, ...] (or K in several axes) cut into blocks. */
function inBlocks(build: GraphBuilder, value: Value, blocks: number): Value {
  const [first = 1, ...others] = staticShape(value);
  return reshaped(build, value, [blocks, first / blocks, ...others]);
}
