import { create } from '@bufbuild/protobuf';
import { LoomweightError } from '../../../protocol/errors';
import { encodeTensor, irVersionFor } from './encodeModel';
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  OperatorSetIdProtoSchema,
  type AttributeProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
} from './generated/onnx';
import { eachGraph } from './walk';

/**
 * Upgrades the standard operators of a model to a later opset in place. Most operators only gained types and optional attributes; the
 * others are listed with the opsets that changed their meaning or moved attributes to inputs. Mechanical changes are made (`axes` of
 * reductions, Squeeze and Unsqueeze become an input); otherwise `unsupported` is thrown with the name of the node, and the model is
 * unchanged. Source: Changelog.md of ONNX 1.23, opsets 7 to 26.
 */
export function raiseOpset(model: ModelProto, version: number, uniqueName: (stem: string) => string): void {
  const entry = model.opsetImport.find((item) => item.domain === '' || item.domain === 'ai.onnx');
  const current = Number(entry?.version ?? 1n);
  if (current >= version) return;
  if (current < 7) throw cannot(model, current, version, `it is older than opset 7`);
  if (model.functions.length > 0) throw cannot(model, current, version, 'its functions have their own operator versions');
  const steps: (() => void)[] = [];
  eachGraph(model, (graph) => {
    for (const node of graph.node) {
      if (node.domain !== '' && node.domain !== 'ai.onnx') continue;
      const step = planNode(model, graph, node, { current, version }, uniqueName);
      if (step !== undefined) steps.push(step);
    }
  });
  for (const step of steps) step();
  if (entry === undefined) model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(version) }));
  else entry.version = BigInt(version);
  const ir = BigInt(irVersionFor(version));
  if (model.irVersion < ir) model.irVersion = ir;
}

/** Opsets in which an operator's meaning changed for previously valid nodes. */
const changes: Readonly<Record<string, readonly number[]>> = {
  BatchNormalization: [9, 14],
  Clip: [11],
  DFT: [20],
  Dropout: [12],
  GridSample: [20],
  GroupNormalization: [21],
  Hardmax: [13],
  LogSoftmax: [13],
  MaxUnpool: [],
  Pad: [11],
  Resize: [11, 13, 18],
  RoiAlign: [16],
  Scan: [9],
  Scatter: [11],
  Slice: [10],
  Softmax: [13],
  Split: [13, 18],
  TopK: [10, 11],
  Upsample: [9, 10],
};

/** Operators whose `axes` attribute became the second input, and since which opset. */
const axesBecameInput: Readonly<Record<string, number>> = {
  Squeeze: 13,
  Unsqueeze: 13,
  ReduceSum: 13,
  ReduceMean: 18,
  ReduceMax: 18,
  ReduceMin: 18,
  ReduceProd: 18,
  ReduceL1: 18,
  ReduceL2: 18,
  ReduceLogSum: 18,
  ReduceLogSumExp: 18,
  ReduceSumSquare: 18,
};

function planNode(
  model: ModelProto,
  graph: GraphProto,
  node: NodeProto,
  range: { readonly current: number; readonly version: number },
  uniqueName: (stem: string) => string,
): (() => void) | undefined {
  const crosses = (change: number) => change > range.current && change <= range.version;
  const attribute = (name: string): AttributeProto | undefined => node.attribute.find((item) => item.name === name);
  const axesChange = axesBecameInput[node.opType];
  if (axesChange !== undefined && crosses(axesChange)) {
    const axes = attribute('axes');
    return axes === undefined ? undefined : () => axesToInput(graph, node, axes, uniqueName);
  }
  const change = (changes[node.opType] ?? []).find(crosses);
  if (change === undefined) return undefined;
  // Dropout and BatchNormalization with one output have the same meaning in inference.
  if (node.opType === 'BatchNormalization' && change === 14 && node.output.length === 1) return undefined;
  if (node.opType === 'Dropout') return node.output.length === 1 ? () => void (node.attribute = []) : undefined;
  // Up to opset 12, Softmax flattened the axes after `axis` (default 1); over the last axis both forms agree.
  if (/^(Softmax|LogSoftmax|Hardmax)$/.test(node.opType) && attribute('axis')?.i === -1n) return undefined;
  // Equal parts by the number of outputs: since opset 18 that number is explicit.
  if (node.opType === 'Split' && change === 18) {
    if (node.input.length > 1) return undefined;
    const count = create(AttributeProtoSchema, {
      name: 'num_outputs',
      type: AttributeProto_AttributeType.INT,
      i: BigInt(node.output.length),
    });
    return () => void node.attribute.push(count);
  }
  throw cannot(
    model,
    range.current,
    range.version,
    `operator ${node.opType} (node '${node.name || (node.output[0] ?? '')}') changed its meaning in opset ${change}`,
  );
}

function axesToInput(graph: GraphProto, node: NodeProto, axes: AttributeProto, uniqueName: (stem: string) => string): void {
  const name = uniqueName(`${node.name || node.opType}_axes`);
  const bytes = new Uint8Array(BigInt64Array.from(axes.ints).buffer);
  graph.initializer.push(encodeTensor({ kind: 'inline', dtype: 'int64', shape: [axes.ints.length], bytes }, name));
  node.attribute = node.attribute.filter((item) => item !== axes);
  node.input = [node.input[0] ?? '', name];
}

function cannot(model: ModelProto, current: number, version: number, reason: string): LoomweightError {
  return new LoomweightError(
    'unsupported',
    `The model uses opset ${current} and cannot be upgraded to the required opset ${version}: ${reason}. Export it again with opset ${version}.`,
    { opset: current, wanted: version, graph: model.graph?.name },
  );
}
