import { describe, expect, test } from 'vitest';
import { GraphBuilder, float, int, ints, type AttributeInput } from '../../../src/engine/graph/builder';
import type { Graph, Node, Value } from '../../../src/engine/graph/graph';
import { specializeGraph } from '../../../src/engine/graph/passes/specialize';
import { verifyGraph } from '../../../src/engine/graph/verifier';
import { operators } from '../../../src/engine/ops';
import { feedTensor, runGraph } from '../../support/runGraph';

/** A graph of one node as an old version has it; outputs of unknown type, as readers leave them. */
function oldGraph(opset: number, op: string, attributes: Readonly<Record<string, AttributeInput>>, outputs: number): Graph {
  const build = new GraphBuilder(operators, 'old', opset);
  const x = build.input('x', { dtype: 'float32', shape: ['batch', 3, 1, 4] });
  build.output(x, 'passed');
  const { inputs, constants, opsets } = build.finish();
  const made = Array.from({ length: outputs }, (_, at): Value => ({
    name: `y${at}`,
    type: { dtype: 'float32', shape: undefined, unknown: true },
  }));
  const full = Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [name, typeof value === 'string' ? { kind: 'string' as const, value } : value]),
  );
  const node = { name: 'node', op, domain: '', inputs: [x], outputs: made, attributes: full } as Node;
  return { name: 'old', inputs, outputs: made, nodes: [node], constants, opsets };
}

/** The runtime knows the old versions too: both must give the same. */
describe('operators of old versions', () => {
  test.each<[number, string, Readonly<Record<string, AttributeInput>>, number]>([
    [11, 'Squeeze', { axes: ints([2]) }, 1],
    [11, 'Unsqueeze', { axes: ints([0, -1]) }, 1],
    [11, 'ReduceSum', { axes: ints([1]), keepdims: int(0) }, 1],
    [13, 'ReduceMean', { axes: ints([1, 3]) }, 1],
    [17, 'ReduceMax', { axes: ints([-1]), keepdims: int(0) }, 1],
    [11, 'ReduceL2', { axes: ints([1]) }, 1],
    [11, 'Softmax', {}, 1],
    [11, 'Softmax', { axis: int(3) }, 1],
    [12, 'LogSoftmax', { axis: int(2) }, 1],
    [13, 'Softmax', { axis: int(1) }, 1],
    [11, 'Split', { axis: int(3), split: ints([1, 3]) }, 2],
    [13, 'Split', { axis: int(3) }, 2],
    [9, 'Slice', { axes: ints([1, 3]), starts: ints([1, -3]), ends: ints([3, 2 ** 31 - 1]) }, 1],
    [9, 'Slice', { starts: ints([0, 1]), ends: ints([1, 2]) }, 1],
    [10, 'Clip', { min: float(0.3), max: float(0.6) }, 1],
    [10, 'Clip', { max: float(0.6) }, 1],
    [10, 'Pad', { pads: ints([0, 1, 0, 2, 0, 0, 1, 0]), value: float(2.5) }, 1],
    [10, 'Pad', { pads: ints([0, 0, 0, 1, 0, 0, 0, 1]), mode: 'reflect' }, 1],
    [9, 'TopK', { k: int(2) }, 2],
    [9, 'Upsample', { mode: 'nearest' }, 1],
    [7, 'Upsample', { mode: 'linear', scales: { kind: 'floats', value: [1, 1, 2, 3] } }, 1],
    [10, 'Dropout', { ratio: float(0.5) }, 1],
  ])('opset %i %s %j', async (opset, op, attributes, outputs) => {
    const graph = oldGraph(opset, op, attributes, outputs);
    if (op === 'Upsample' && opset === 9) {
      const scales: Value = { name: 'scales', type: { dtype: 'float32', shape: [4] } };
      const bytes = new Uint8Array(Float32Array.of(1, 1, 3, 2).buffer);
      (graph.constants as Map<Value, unknown>).set(scales, { kind: 'inline', dtype: 'float32', shape: [4], bytes });
      (graph.nodes[0]?.inputs as Value[]).push(scales);
    }
    const special = specializeGraph(graph, { batch: 2 }, operators);
    expect(special.opsets['']).toBe(21);
    verifyGraph(special, operators);
    const feeds = { x: feedTensor('float32', [2, 3, 1, 4]) };
    const expected = await runGraph(graph, feeds);
    const got = await runGraph(special, feeds);
    for (let at = 0; at < outputs; at += 1) {
      expect(got[`y${at}`]?.shape).toEqual(expected[`y${at}`]?.shape);
      const want = Array.from(expected[`y${at}`]?.data as ArrayLike<number>, Number);
      Array.from(got[`y${at}`]?.data as ArrayLike<number>, Number).forEach((value, place) =>
        expect(value).toBeCloseTo(want[place] as number, 6),
      );
    }
  });

  test.each<[number, string, Readonly<Record<string, AttributeInput>>]>([
    [18, 'GroupNormalization', { num_groups: int(1) }],
    [8, 'BatchNormalization', { spatial: int(0) }],
    [6, 'Relu', {}],
  ])('opset %i %s is refused', (opset, op, attributes) => {
    expect(() => specializeGraph(oldGraph(opset, op, attributes, 1), { batch: 2 }, operators)).toThrow(
      `Node 'node' (${op}) has opset ${opset}, and the operator has changed since.`,
    );
  });
});
