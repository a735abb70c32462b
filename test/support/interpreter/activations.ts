import { numberOf, textOf } from './attributes';
import { places, placesWith } from './elementwise';
import type { ReferenceKernel } from './interpreter';
import { logistic, normalDistribution } from './special';

const exactGelu = (x: number): number => x * normalDistribution(x);
const tanhGelu = (x: number): number => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

const gelu = placesWith((context) => {
  const apply = textOf(context, 'approximate', 'none') === 'tanh' ? tanhGelu : exactGelu;
  return (x = 0) => apply(x);
});

const scaledSigmoid = (standardAlpha: number): ReferenceKernel =>
  placesWith((context) => {
    const alpha = numberOf(context, 'alpha', standardAlpha);
    return (x = 0) => x * logistic(alpha * x);
  });

/** Reference kernels of the activation functions. */
export const activationKernels: Readonly<Record<string, ReferenceKernel>> = {
  ':Relu': places((x = 0) => Math.max(x, 0)),
  ':Sigmoid': places((x = 0) => logistic(x)),
  ':LeakyRelu': placesWith((context) => {
    const alpha = numberOf(context, 'alpha', 0.01);
    return (x = 0) => (x < 0 ? alpha * x : x);
  }),
  ':PRelu': places((x = 0, slope = 0) => (x < 0 ? slope * x : x)),
  ':Elu': placesWith((context) => {
    const alpha = numberOf(context, 'alpha', 1);
    return (x = 0) => (x < 0 ? alpha * Math.expm1(x) : x);
  }),
  ':Selu': placesWith((context) => {
    const alpha = numberOf(context, 'alpha', 1.67326319217681884765625);
    const gamma = numberOf(context, 'gamma', 1.05070102214813232421875);
    return (x = 0) => gamma * (x < 0 ? alpha * Math.expm1(x) : x);
  }),
  ':Celu': placesWith((context) => {
    const alpha = numberOf(context, 'alpha', 1);
    return (x = 0) => Math.max(0, x) + Math.min(0, alpha * Math.expm1(x / alpha));
  }),
  ':ThresholdedRelu': placesWith((context) => {
    const alpha = numberOf(context, 'alpha', 1);
    return (x = 0) => (x > alpha ? x : 0);
  }),
  ':HardSigmoid': placesWith((context) => {
    const [alpha, beta] = [numberOf(context, 'alpha', 0.2), numberOf(context, 'beta', 0.5)];
    return (x = 0) => Math.max(0, Math.min(1, alpha * x + beta));
  }),
  ':HardSwish': places((x = 0) => x * Math.max(0, Math.min(1, x / 6 + 0.5))),
  ':Mish': places((x = 0) => x * Math.tanh(softplus(x))),
  ':Softplus': places((x = 0) => softplus(x)),
  ':Softsign': places((x = 0) => x / (1 + Math.abs(x))),
  ':Shrink': placesWith((context) => {
    const [lambda, bias] = [numberOf(context, 'lambd', 0.5), numberOf(context, 'bias', 0)];
    return (x = 0) => (x < -lambda ? x + bias : x > lambda ? x - bias : 0);
  }),
  ':Swish': scaledSigmoid(1),
  'com.microsoft:QuickGelu': scaledSigmoid(1.702),
  ':Gelu': gelu,
  'com.microsoft:Gelu': gelu,
  'com.microsoft:BiasGelu': places((x = 0, bias = 0) => exactGelu(x + bias)),
  'com.microsoft:FastGelu': places((x = 0, bias = 0) => tanhGelu(x + bias)),
};
