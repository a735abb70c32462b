import type { GradientContext, GradientRule } from '../graph/gradient';
import type { Value } from '../graph/graph';
import type { InferContext } from '../graph/operator';
import type { TensorType } from '../graph/types';
import { LoomweightError } from '../../protocol/errors';
import { defineOp } from './defineOp';
import { formula } from './formula';
import { staticShape, sumToShapeOf } from './gradients';
import { normalized, normalizedGradient } from './normalized';
import { floatAttribute, floatTypes, intAttribute, normalizeAxis, requireDType } from './inference';

/**
 * Normalisations over the last axes. Besides the result, some also output statistics: mean and inverse deviation, with the reduced axes
 * kept as 1.
 */

/** Type of the statistics of a normalisation over the axes from `axis` on. */
function statistics(x: TensorType, context: InferContext): TensorType {
  if (x.shape === undefined) return { dtype: 'float32', shape: undefined };
  const axis = normalizeAxis(intAttribute(context, 'axis', -1), x.shape.length);
  return { dtype: 'float32', shape: x.shape.map((length, index) => (index < axis ? length : 1)) };
}

/** Gradients of y = n(x) scale + bias, with n over the last axes from `axis` on. */
function affineGradients(
  { build, node }: GradientContext,
  x: Value,
  scale: Value,
  dy: Value,
  options: { readonly centred: boolean; readonly epsilon: number; readonly needsX: boolean; readonly needsScale: boolean },
): { readonly dx: Value | undefined; readonly dScale: Value | undefined } {
  const rank = staticShape(x).length;
  const first = normalizeAxis(intAttribute(node, 'axis', -1), rank);
  const axes = Array.from({ length: rank - first }, (_, index) => first + index);
  const { mul } = formula(build, x.type.dtype);
  if (!options.needsX && !options.needsScale) return { dx: undefined, dScale: undefined };
  const parts = normalized(build, x, { axes, epsilon: options.epsilon, centred: options.centred });
  return {
    dx: options.needsX ? normalizedGradient(build, parts, mul(dy, scale), { axes, centred: options.centred }) : undefined,
    dScale: options.needsScale ? sumToShapeOf(build, mul(dy, parts.value), scale) : undefined,
  };
}

/** The statistics outputs have no gradient. */
function refuseStatistics(outputGradients: readonly (Value | undefined)[], allowed: readonly number[]): void {
  if (outputGradients.some((gradient, index) => gradient !== undefined && !allowed.includes(index)))
    throw new LoomweightError('unsupported', 'the loss depends on its statistics (mean, deviation). Compute them with ReduceMean.');
}

const layerGradient =
  (centred: boolean): GradientRule =>
  (context) => {
    const { build, node, inputs, outputGradients, needs } = context;
    refuseStatistics(outputGradients, [0]);
    const [x, scale, bias, dy] = [inputs[0], inputs[1], inputs[2], outputGradients[0]];
    if (!x || !scale || !dy) return [];
    const epsilon = floatAttribute(node, 'epsilon', 1e-5);
    const { dx, dScale } = affineGradients(context, x, scale, dy, { centred, epsilon, needsX: needs(0), needsScale: needs(1) });
    return [dx, dScale, bias && needs(2) ? sumToShapeOf(build, dy, bias) : undefined];
  };

const layerNormalization = defineOp({
  name: 'LayerNormalization',
  inputs: 2,
  maxInputs: 3,
  infer: ([x], context) => {
    requireDType(x, floatTypes, 'The input of LayerNormalization');
    return [x, statistics(x, context), statistics(x, context)];
  },
  gradient: layerGradient(true),
});

/** x / sqrt(mean(x^2) + epsilon) * scale, over the axes from `axis` on. Standard since opset 23. */
const rmsNormalization = defineOp({ name: 'RMSNormalization', inputs: 2, infer: ([x]) => [x], gradient: layerGradient(false) });

/** ONNX Runtime's form of the same; it uses the standard domain although it is not in the standard. */
const simplifiedLayerNormalization = defineOp({
  name: 'SimplifiedLayerNormalization',
  inputs: 2,
  infer: ([x], context) => [x, statistics(x, context)],
  gradient: layerGradient(false),
});

/** Inputs: x, skip, scale, then (shift and) bias of the sum. All terms of the sum get the same gradient. */
const skipGradient =
  (centred: boolean): GradientRule =>
  (context) => {
    const { build, node, inputs, outputs, outputGradients, needs } = context;
    refuseStatistics(outputGradients, [0, 3]);
    const [x, skip, scale] = inputs;
    const shift = centred ? inputs[3] : undefined;
    const biasIndex = centred ? 4 : 3;
    const bias = inputs[biasIndex];
    const [dy, , , dResidual] = outputGradients;
    if (!x || !skip || !scale) return [];
    const { add } = formula(build, x.type.dtype);
    const needsSum = needs(0) || needs(1) || (bias !== undefined && needs(biasIndex));
    const sum = outputs[3] ?? (bias ? add(add(x, skip), bias) : add(x, skip));
    const epsilon = floatAttribute(node, 'epsilon', 1e-12);
    const found = dy ? affineGradients(context, sum, scale, dy, { centred, epsilon, needsX: needsSum, needsScale: needs(2) }) : undefined;
    const dSum = found?.dx && dResidual ? add(found.dx, dResidual) : (found?.dx ?? dResidual);
    const gradients: (Value | undefined)[] = [dSum, dSum && needs(1) ? sumToShapeOf(build, dSum, skip) : undefined, found?.dScale];
    if (centred) gradients.push(shift && dy && needs(3) ? sumToShapeOf(build, dy, shift) : undefined);
    gradients.push(bias && dSum && needs(biasIndex) ? sumToShapeOf(build, dSum, bias) : undefined);
    return gradients;
  };

/** Normalises input + skip (+ bias); the fourth output is that sum, the new residual. */
const skipNormalization = (name: string, maxInputs: number, centred: boolean) =>
  defineOp({
    name,
    domain: 'com.microsoft',
    inputs: 3,
    maxInputs,
    infer: ([x], context) => [x, statistics(x, context), statistics(x, context), x],
    gradient: skipGradient(centred),
  });

/** Normalisations over the last axes. */
export const normalizationOperators = [
  layerNormalization,
  rmsNormalization,
  simplifiedLayerNormalization,
  skipNormalization('SkipSimplifiedLayerNormalization', 4, false),
  skipNormalization('SkipLayerNormalization', 5, true),
];
