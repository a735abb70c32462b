import { GraphBuilder, int } from '../../graph/builder';
import type { Value } from '../../graph/graph';
import { operators } from '../../ops/index';
import { staticShape } from '../../ops/gradients';
import type { Runtime } from '../../runtime/types';
import { multiplyThenAdd, type MultiplyAdd } from '../optimizers/optimizer';
import { rowBlockUpdates } from './rowBlocks';
import type { UpdatePlanner } from './updatePlanner';
import { wholeTensorUpdates } from './wholeTensor';

/** addend + value * factor in one pass: an operator of ONNX Runtime that takes one factor for each row. */
const gatedAdd: MultiplyAdd = (build, addend, value, factor) => {
  const shape = staticShape(value);
  if (shape.length < 2) return multiplyThenAdd(build, addend, value, factor);
  const perRow = build.int64([...shape.slice(0, -1), 1]);
  const scalar = typeof factor === 'number' ? build.float32(factor) : factor;
  return build.op('GatedAdd', [addend, value, build.op('Expand', [scalar, perRow])], {}, { domain: 'com.microsoft' });
};

/**
 * How updates are made on a runtime: blocks of rows where a processor's cache is what they are cut for, with the fused multiply-add where the runtime has it;
 * whole tensors elsewhere.
 */
export async function chooseUpdates(runtime: Runtime): Promise<UpdatePlanner> {
  if (runtime.environment.provider !== 'cpu') return wholeTensorUpdates;
  if (await runs(runtime, gatedAdd)) return rowBlockUpdates(gatedAdd);
  return (await runs(runtime, multiplyThenAdd)) ? rowBlockUpdates(multiplyThenAdd) : wholeTensorUpdates;
}

/** Tries a small Scan with it; true if the numbers are right. */
async function runs(runtime: Runtime, multiplyAdd: MultiplyAdd): Promise<boolean> {
  try {
    const session = await runtime.createFromGraph(probe(multiplyAdd), { keep: false });
    try {
      const { result } = await session.run({ x: { dtype: 'float32', shape: [2, 1, 2], data: Float32Array.of(1, 2, 3, 4) } });
      return String(result?.data) === '1.5,3,4.5,6';
    } finally {
      await session.release();
    }
  } catch {
    return false;
  }
}

function probe(multiplyAdd: MultiplyAdd): ReturnType<GraphBuilder['finish']> {
  const build = new GraphBuilder(operators, 'update_probe');
  const x = build.input('x', { dtype: 'float32', shape: [2, 1, 2] });
  const body = build.subgraph('update_block');
  const block = body.input('block', { dtype: 'float32', shape: [1, 2] });
  body.output(multiplyAdd(body, block, block, 0.5));
  const [result] = build.node('Scan', [x], { body: { kind: 'graph', value: body.finish() }, num_scan_inputs: int(1) }) as [Value];
  build.output(result, 'result');
  return build.finish();
}
