import { LoomweightError } from '../../protocol/errors';
import { int, type AttributeInput, type GraphBuilder } from '../graph/builder';
import type { Attributes, Node, Value } from '../graph/graph';
import type { UpgradeTable } from '../graph/passes/specialize';
import { isStaticShape } from '../graph/shapes';
import { floatScalar } from './gradients';

/** Upgrades nodes of older opsets to the current form. Source: Changelog.md of ONNX 1.23, opsets 7 to 21. */

interface Old {
  readonly node: Node;
  readonly inputs: readonly (Value | undefined)[];
  readonly build: GraphBuilder;
  /** The opset for which the node was written. */
  readonly from: number;
}

type Upgrade = (old: Old) => readonly Value[] | undefined;

const intsOf = (attributes: Attributes, name: string): readonly number[] | undefined => {
  const attribute = attributes[name];
  return attribute?.kind === 'ints' ? attribute.value : undefined;
};
const numberOf = (attributes: Attributes, name: string): number | undefined => {
  const attribute = attributes[name];
  return attribute?.kind === 'int' || attribute?.kind === 'float' ? attribute.value : undefined;
};

/** The same node with other inputs, and without removed attributes. */
function remade(
  { node, build }: Old,
  inputs: readonly (Value | undefined)[],
  removed: readonly string[],
  added: Readonly<Record<string, AttributeInput>> = {},
): readonly Value[] {
  const kept = Object.fromEntries(Object.entries(node.attributes).filter(([name]) => !removed.includes(name)));
  const outputs = node.outputs.reduce((used, output, index) => (output ? index + 1 : used), 1);
  return build.node(node.op, inputs, { ...kept, ...added }, { name: build.freeName(node.name), outputs });
}

/** `axes` became the second input. */
const axesToInput =
  (since: number): Upgrade =>
  (old) => {
    const axes = intsOf(old.node.attributes, 'axes');
    return old.from >= since || axes === undefined ? undefined : remade(old, [old.inputs[0], old.build.int64(axes)], ['axes']);
  };

/** Up to opset 12, the axes from `axis` (default 1) on were flattened into one. */
const flattening: Upgrade = (old) => {
  if (old.from >= 13) return undefined;
  const [x] = old.inputs;
  const given = numberOf(old.node.attributes, 'axis') ?? 1;
  const shape = x?.type.shape;
  if (x === undefined || shape === undefined) return given === -1 ? undefined : refuse(old);
  const axis = given < 0 ? given + shape.length : given;
  if (axis === shape.length - 1) return remade(old, [x], ['axis'], { axis: int(-1) });
  if (!isStaticShape(shape)) return refuse(old);
  const flat = old.build.op('Flatten', [x], { axis: int(axis) });
  const [made] = remade(old, [flat], ['axis'], { axis: int(-1) });
  return [old.build.op('Reshape', [made, old.build.int64(shape)], { allowzero: int(shape.includes(0) ? 1 : 0) })];
};

/** Lengths were an attribute up to opset 12; since 18, equal parts are requested by number. */
const split: Upgrade = (old) => {
  const lengths = intsOf(old.node.attributes, 'split');
  if (lengths !== undefined) return remade(old, [old.inputs[0], old.build.int64(lengths)], ['split']);
  return old.from >= 18 || old.inputs[1] ? undefined : remade(old, old.inputs, [], { num_outputs: int(old.node.outputs.length) });
};

const slice: Upgrade = (old) => {
  const starts = intsOf(old.node.attributes, 'starts');
  const ends = intsOf(old.node.attributes, 'ends');
  if (old.from >= 10 || starts === undefined || ends === undefined) return undefined;
  const axes = intsOf(old.node.attributes, 'axes') ?? starts.map((_, axis) => axis);
  const { build } = old;
  return remade(old, [old.inputs[0], build.int64(starts), build.int64(ends), build.int64(axes)], ['starts', 'ends', 'axes']);
};

const clip: Upgrade = (old) => {
  const [x] = old.inputs;
  if (old.from >= 11 || x === undefined) return undefined;
  const limit = (name: string): Value | undefined => {
    const value = numberOf(old.node.attributes, name);
    return value === undefined ? undefined : floatScalar(old.build, value, x.type.dtype);
  };
  return remade(old, [x, limit('min'), limit('max')], ['min', 'max']);
};

const pad: Upgrade = (old) => {
  const [x] = old.inputs;
  const pads = intsOf(old.node.attributes, 'pads');
  if (old.from >= 11 || x === undefined || pads === undefined) return undefined;
  const fill = floatScalar(old.build, numberOf(old.node.attributes, 'value') ?? 0, x.type.dtype);
  return remade(old, [x, old.build.int64(pads), fill], ['pads', 'value']);
};

const topK: Upgrade = (old) => {
  const k = numberOf(old.node.attributes, 'k');
  return old.from >= 10 || k === undefined ? undefined : remade(old, [old.inputs[0], old.build.int64([k])], ['k']);
};

/** A requested mask keeps the node; the ratio became an input. */
const dropout: Upgrade = (old) => {
  const ratio = numberOf(old.node.attributes, 'ratio');
  return old.from >= 12 || ratio === undefined ? undefined : remade(old, [old.inputs[0], old.build.float32(ratio)], ['ratio']);
};

const batchNormalization: Upgrade = (old) => {
  if (numberOf(old.node.attributes, 'spatial') === 0) return refuse(old);
  if (old.from < 14 && old.node.outputs.filter((output) => output !== undefined).length > 1) return refuse(old);
  return old.node.attributes['spatial'] === undefined ? undefined : remade(old, old.inputs, ['spatial']);
};

/** Resize of opset 10, and Upsample before it, sampled from the corner and rounded down. */
function asResize(old: Old, scales: Value | undefined): readonly Value[] {
  const mode = old.node.attributes['mode'];
  const text = mode?.kind === 'string' ? mode.value.replace('bilinear', 'linear') : 'nearest';
  const attributes = { mode: text, coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' };
  return [old.build.op('Resize', [old.inputs[0], undefined, scales], attributes, { name: old.build.freeName(old.node.name) })];
}

const resize: Upgrade = (old) => (old.from >= 11 ? undefined : asResize(old, old.inputs[1]));

const upsample: Upgrade = (old) => {
  const scales = old.node.attributes['scales'];
  return asResize(old, scales?.kind === 'floats' ? old.build.float32(scales.value) : old.inputs[1]);
};

const scatter: Upgrade = ({ node, inputs, build }) => [
  build.op('ScatterElements', inputs, node.attributes, { name: build.freeName(node.name) }),
];

const gridSample: Upgrade = (old) => {
  const mode = old.node.attributes['mode'];
  const renamed = mode?.kind === 'string' ? { bilinear: 'linear', bicubic: 'cubic' }[mode.value] : undefined;
  return old.from >= 20 || renamed === undefined ? undefined : remade(old, old.inputs, ['mode'], { mode: renamed });
};

/** The meaning changed in a way that is not supported here. */
const refusedBefore =
  (since: number): Upgrade =>
  (old) =>
    old.from >= since ? undefined : refuse(old);

function refuse({ node, from }: Old): never {
  throw new LoomweightError(
    'unsupported',
    `Node '${node.name}' (${node.op}) has opset ${from}, and the operator has changed since. Export the model again with opset 18 or later.`,
    { node: node.name, op: node.op, opset: from },
  );
}

const table: ReadonlyMap<string, Upgrade> = new Map<string, Upgrade>([
  ...['Squeeze', 'Unsqueeze', 'ReduceSum'].map((op) => [op, axesToInput(13)] as const),
  ...['Mean', 'Max', 'Min', 'Prod', 'L1', 'L2', 'LogSum', 'LogSumExp', 'SumSquare'].map((op) => [`Reduce${op}`, axesToInput(18)] as const),
  ...['Softmax', 'LogSoftmax', 'Hardmax'].map((op) => [op, flattening] as const),
  ['Split', split],
  ['Slice', slice],
  ['Clip', clip],
  ['Pad', pad],
  ['TopK', topK],
  ['Dropout', dropout],
  ['BatchNormalization', batchNormalization],
  ['Resize', resize],
  ['Upsample', upsample],
  ['Scatter', scatter],
  ['GridSample', gridSample],
  ['GroupNormalization', refusedBefore(21)],
  ['RoiAlign', refusedBefore(16)],
  ['Scan', refusedBefore(9)],
  ['DFT', refusedBefore(20)],
]);

/** Older forms by operator. Opsets before 7 broadcast differently and are refused. */
export const upgrades: UpgradeTable = {
  upgrade: (node, inputs, build, from) => {
    if (node.domain !== '' && node.domain !== 'ai.onnx') return undefined;
    const old = { node, inputs, build, from };
    return from < 7 ? refuse(old) : table.get(node.op)?.(old);
  },
};
