import type { OldNode } from './oldNode';

/** Why a node has no form in the new opset: the end of a sentence, and what to do, a sentence. */
export interface UpgradeRefusal {
  readonly reason: string;
  readonly remedy?: string;
}

/** One operator's changes between opsets. Undefined: a node of this form means the same in the new opset. A function: makes the new form. */
export type OperatorUpgrade = (old: OldNode) => (() => void) | UpgradeRefusal | undefined;

/** `axes` became the second input. */
const axesToInput =
  (since: number): OperatorUpgrade =>
  (old) => {
    const axes = old.ints('axes');
    if (!old.crosses(since) || axes === undefined) return undefined;
    return () => {
      old.setInputs(old.input, old.int64('axes', axes));
      old.removeAttributes('axes');
    };
  };

/** Up to opset 12 the axes from `axis` (default 1) on were flattened into one; since then the operator works on one axis (default -1). */
const flattening: OperatorUpgrade = (old) => {
  if (!old.crosses(13)) return undefined;
  const axis = old.int('axis') ?? 1;
  if (axis === -1) return undefined;
  const rank = old.values.rank(old.input);
  if (rank !== undefined && (axis < 0 ? axis + rank : axis) === rank - 1) return () => old.setAttribute('axis', { kind: 'int', value: -1 });
  return () => {
    const shape = old.put('before', 'Shape', [old.input]);
    const flat = old.put('before', 'Flatten', [old.input], { axis: { kind: 'int', value: axis } });
    const output = old.node.output[0] as string;
    const made = old.uniqueName('flat');
    old.setInputs(flat);
    old.setAttribute('axis', { kind: 'int', value: -1 });
    old.node.output = [made];
    old.put('after', 'Reshape', [made, shape], { allowzero: { kind: 'int', value: 1 } }, output);
  };
};

/** Lengths were an attribute up to opset 12; since 18 the number of equal parts is explicit. */
const split: OperatorUpgrade = (old) => {
  const lengths = old.ints('split');
  if (old.crosses(13) && lengths !== undefined)
    return () => {
      old.setInputs(old.input, old.int64('split', lengths));
      old.removeAttributes('split');
    };
  if (!old.crosses(18) || old.node.input.length > 1) return undefined;
  return () => old.setAttribute('num_outputs', { kind: 'int', value: old.node.output.length });
};

const slice: OperatorUpgrade = (old) => {
  const [starts, ends] = [old.ints('starts'), old.ints('ends')];
  if (!old.crosses(10) || starts === undefined || ends === undefined) return undefined;
  const axes = old.ints('axes') ?? starts.map((_, axis) => BigInt(axis));
  return () => {
    old.setInputs(old.input, old.int64('starts', starts), old.int64('ends', ends), old.int64('axes', axes));
    old.removeAttributes('starts', 'ends', 'axes');
  };
};

const clip: OperatorUpgrade = (old) => {
  if (!old.crosses(11)) return undefined;
  const [min, max] = [old.float('min'), old.float('max')];
  if (min === undefined && max === undefined) return undefined;
  return () => {
    const limit = (name: string, value: number | undefined) => (value === undefined ? '' : old.scalarLikeInput(name, value));
    old.setInputs(old.input, limit('min', min), limit('max', max));
    old.removeAttributes('min', 'max');
  };
};

const pad: OperatorUpgrade = (old) => {
  const pads = old.ints('pads');
  if (!old.crosses(11) || pads === undefined) return undefined;
  return () => {
    const value = old.float('value') ?? 0;
    old.setInputs(old.input, old.int64('pads', pads), value === 0 ? '' : old.scalarLikeInput('value', value));
    old.removeAttributes('pads', 'value');
  };
};

const topK: OperatorUpgrade = (old) => {
  const k = old.int('k');
  if (!old.crosses(10) || k === undefined) return undefined;
  return () => {
    old.setInputs(old.input, old.int64('k', [k]));
    old.removeAttributes('k');
  };
};

/** An inference graph passes its input on; the mask, of another type before opset 10, would then be all true. Training needs the ratio, which became an input. */
const dropout: OperatorUpgrade = (old) => {
  if (!old.crosses(12)) return undefined;
  if (old.extraIsUsed) return { reason: 'its mask is used, which changed' };
  return () => {
    const ratio = old.float('ratio');
    if (old.forTraining && ratio !== undefined) old.setInputs(old.input, old.float32('ratio', [ratio], []));
    old.dropOutputs();
    old.removeAttributes('ratio', 'is_test', 'seed');
  };
};

/** With one output the operator normalises by the stored statistics in every opset. */
const batchNormalization: OperatorUpgrade = (old) => {
  if (old.crosses(9) && old.int('spatial') === 0) return { reason: 'statistics for each position were removed in opset 9' };
  if (old.crosses(14) && old.extraIsUsed) return { reason: 'its statistics are outputs, which changed in opset 14' };
  const drops = old.crosses(14) && old.node.output.length > 1;
  if (!drops && old.attribute('spatial') === undefined) return undefined;
  return () => {
    if (drops) old.dropOutputs();
    old.removeAttributes('spatial');
  };
};

/** Before opset 11, places were scaled from the corner. */
function asResize(old: OldNode, scales: string, nearest: string): void {
  const mode = old.text('mode') ?? 'nearest';
  old.node.opType = 'Resize';
  old.setInputs(old.input, '', scales);
  old.removeAttributes('scales', 'mode', 'height_scale', 'width_scale');
  old.setAttribute('mode', { kind: 'string', value: mode.replace('bilinear', 'linear') });
  old.setAttribute('coordinate_transformation_mode', { kind: 'string', value: 'asymmetric' });
  old.setAttribute('nearest_mode', { kind: 'string', value: nearest });
}

/** Enlarges only: a position is rounded down. */
const upsample: OperatorUpgrade = (old) => {
  if (!old.crosses(10)) return undefined;
  const scales = old.attribute('scales')?.floats;
  const given = old.node.input[1];
  if (scales === undefined && given === undefined) return { reason: 'it has no scales' };
  return () => asResize(old, scales === undefined ? (given as string) : old.float32('scales', scales), 'floor');
};

/** Of opset 10: ONNX Runtime rounds positions down where it enlarges and up where it shrinks. */
const resize: OperatorUpgrade = (old) => {
  if (!old.crosses(11)) return undefined;
  const scales = old.node.input[1] ?? '';
  if ((old.text('mode') ?? 'nearest') !== 'nearest') return () => asResize(old, scales, 'floor');
  const known = old.values.floats(scales);
  if (known === undefined) return { reason: 'it takes scales that are not constants, for which opset 11 rounds positions differently' };
  const [shrinks, enlarges] = [known.some((scale) => scale < 1), known.some((scale) => scale > 1)];
  if (shrinks && enlarges) return { reason: 'it enlarges one axis and shrinks another, for which opset 11 rounds positions differently' };
  return () => asResize(old, scales, shrinks ? 'ceil' : 'floor');
};

const scatter: OperatorUpgrade = (old) => (old.crosses(11) ? () => void (old.node.opType = 'ScatterElements') : undefined);

/** Positions moved by half a pixel by default. */
const roiAlign: OperatorUpgrade = (old) =>
  withoutKernel(old) ??
  (old.crosses(16) ? () => old.setAttribute('coordinate_transformation_mode', { kind: 'string', value: 'output_half_pixel' }) : undefined);

const gridSample: OperatorUpgrade = (old) => {
  const renamed = { bilinear: 'linear', bicubic: 'cubic' }[old.text('mode') ?? 'bilinear'];
  return old.crosses(20) && renamed !== undefined ? () => old.setAttribute('mode', { kind: 'string', value: renamed }) : undefined;
};

/** The axis became the third input, with another default. */
const dft: OperatorUpgrade = (old) => {
  if (!old.crosses(20)) return undefined;
  return () => {
    old.setInputs(old.input, old.node.input[1] ?? '', old.int64('axis', [old.int('axis') ?? 1], []));
    old.removeAttributes('axis');
  };
};

/** Scale and bias of a group became those of a channel. */
const groupNormalization: OperatorUpgrade = (old) => {
  const groups = old.int('num_groups');
  if (!old.crosses(21) || groups === undefined) return undefined;
  return () => {
    const channels = old.put('before', 'Shape', [old.input], { start: { kind: 'int', value: 1 }, end: { kind: 'int', value: 2 } });
    const perGroup = old.put('before', 'Div', [channels, old.int64('groups', [groups])]);
    const shape = old.put('before', 'Concat', [old.int64('rows', [groups]), perGroup], { axis: { kind: 'int', value: 0 } });
    const ofChannels = (name: string): string => {
      const column = old.put('before', 'Unsqueeze', [name, old.int64('axis', [1])]);
      const spread = old.put('before', 'Expand', [column, shape]);
      return old.put('before', 'Reshape', [spread, old.int64('flat', [-1])]);
    };
    old.setInputs(old.input, ofChannels(old.node.input[1] ?? ''), ofChannels(old.node.input[2] ?? ''));
  };
};

const refusedAcross =
  (opset: number): OperatorUpgrade =>
  (old) =>
    old.crosses(opset) ? { reason: `the operator changed its meaning in opset ${opset}` } : undefined;

/** ONNX Runtime 1.30 kept some kernels at opset 21. Only types of 2 bits need more. */
function withoutKernel(old: OldNode): UpgradeRefusal | undefined {
  return old.crosses(22)
    ? { reason: 'ONNX Runtime cannot run it from opset 22 on', remedy: 'Use another width than 1 and 2 bits, or the format onnx-packed.' }
    : undefined;
}

/**
 * Standard operators that changed for nodes that were valid before, by name; the others only gained types and optional attributes. Source: Changelog.md of
 * ONNX 1.23, opsets 7 to 26; where it leaves the old meaning open, ONNX Runtime's kernels of the old opset.
 */
export const operatorUpgrades: ReadonlyMap<string, OperatorUpgrade> = new Map<string, OperatorUpgrade>([
  ...['Squeeze', 'Unsqueeze', 'ReduceSum'].map((op) => [op, axesToInput(13)] as const),
  ...['Mean', 'Max', 'Min', 'Prod', 'L1', 'L2', 'LogSum', 'LogSumExp', 'SumSquare'].map((op) => [`Reduce${op}`, axesToInput(18)] as const),
  ...['Softmax', 'LogSoftmax', 'Hardmax'].map((op) => [op, flattening] as const),
  ['BatchNormalization', batchNormalization],
  ['Clip', clip],
  ['DFT', dft],
  ['Dropout', dropout],
  ['GridSample', gridSample],
  ['GroupNormalization', groupNormalization],
  ['Pad', pad],
  ['Resize', resize],
  ['RoiAlign', roiAlign],
  ['Scan', refusedAcross(9)],
  ['Scatter', scatter],
  ['Slice', slice],
  ['Split', split],
  ['TopK', topK],
  ['Upsample', upsample],
  ...['GlobalLpPool', 'MaxRoiPool', 'Multinomial', 'RandomNormal', 'RandomNormalLike', 'RandomUniform', 'RandomUniformLike'].map(
    (op) => [op, withoutKernel] as const,
  ),
]);
