import { bitWidths } from '../../../kernels/bitWidths';
import { bitsOfMebibyte, compressedBits } from '../../../kernels/compressedSize';
import { pseudoQuantizationNoise } from '../../../kernels/pseudoQuantizationNoise';
import { clippedRange, extremesOf } from '../../../kernels/weightRange';
import type { Value } from '../../../graph/graph';
import { formula } from '../../../ops/formula';
import type { MethodForward, MethodStep } from '../../contract';
import { tensorBits } from '../shared/fitWidths';
import { variableNames, type DiffqModel, type DiffqTensor } from './model';
import { steer, steeringName } from './steering';

/** Adds one step's weights: with noise while widths are learned, rounded once they are settled; and the size that the penalty weighs. */
export function diffqForward(model: DiffqModel, step: MethodStep, weights: (name: string) => Value): MethodForward {
  const { settings, tensors, steering } = model;
  const { build } = step;
  const { add, sub, mul, where, greater } = formula(build, 'float32');
  const settled = settings.settleFrom === undefined ? undefined : greater(step.step, settings.settleFrom - 0.5);
  const made: Record<string, Value> = {};
  const parts: Value[] = [];
  for (const tensor of tensors) {
    const { bits, region } = bitWidths(build, step.variable(variableNames.logits(tensor.parameter.name)), settings.range);
    step.custom(region);
    parts.push(compressedBits(build, bits, tensor.groups, { extraBits: settings.extraBits, minimumBits: settings.range.minimum }));
    if (tensor.parameter.used) made[tensor.parameter.name] = noisyWeights(tensor, bits);
  }
  if (parts.length === 0) return { weights: made };
  const quantized = parts.reduce((sum, part) => add(sum, part));
  const size = mul(add(quantized, model.restBits), 1 / bitsOfMebibyte);
  // After settling the logits rest: their sizes no longer count.
  const active = settled ? where(settled, 0, 1) : undefined;
  const bits = mul(quantized, 1 / model.entries);
  const metrics = { bits, size };
  if (!steering) return { weights: made, size: active ? mul(size, active) : size, metrics };
  const logarithm = step.variable(steeringName);
  const { penalty, next } = steer(build, steering, { logarithm, bits, step: step.step, firstBits: firstBits(model) });
  return {
    weights: made,
    size,
    penalty: active ? mul(penalty, active) : penalty,
    carry: { [steeringName]: active ? add(logarithm, mul(sub(next, logarithm), active)) : next },
    metrics: { ...metrics, penalty },
  };

  function noisyWeights({ parameter, groups }: DiffqTensor, widths: Value): Value {
    const held = weights(parameter.name);
    const result = pseudoQuantizationNoise(build, {
      weights: held,
      bits: widths,
      groups,
      range: settings.clipRange > 0 ? clippedRange(build, held, settings.clipRange) : extremesOf(build, held),
      noise: step.noise(`diffq/${parameter.name}`, groups.viewShape, settings.noise),
      scale: settings.noise === 'gaussian' ? 0.5 : 1,
      clipped: settings.clipRange > 0,
      ...(settled ? { settled: { now: settled, ...settledGrid(parameter.name) } } : {}),
    });
    step.custom(result.region);
    return result.weights;
  }

  function settledGrid(name: string): { readonly bits: Value; readonly minimum: Value; readonly maximum: Value } {
    const ends = step.variable(variableNames.range(name));
    const end = (index: number): Value => build.op('Gather', [ends, build.int64(index, [])]);
    return { bits: step.variable(variableNames.widths(name)), minimum: end(0), maximum: end(1) };
  }
}

/** Average width at the start, tables included. */
function firstBits({ settings: { initBits, extraBits, range }, tensors, entries }: DiffqModel): number {
  const sum = tensors.reduce(
    (total, { groups }) =>
      total + tensorBits(new Float64Array(groups.count).fill(initBits + extraBits), (group) => groups.entriesOf(group), range.minimum),
    0,
  );
  return sum / entries;
}
