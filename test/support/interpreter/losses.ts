import { numberOf, textOf } from './attributes';
import type { ReferenceContext, ReferenceKernel, ReferenceTensor } from './interpreter';
import { reductionKernels } from './reductions';

/** Loss of labels [N, d1, ...] from log-probabilities [N, C, d1, ...], with class weights and ignored labels. */
function negativeLogLikelihood(
  logs: ReferenceTensor,
  labels: ReferenceTensor,
  weights: ReferenceTensor | undefined,
  context: ReferenceContext,
): ReferenceTensor {
  const [samples, classes] = logs.shape as [number, number];
  const inner = labels.data.length / samples;
  const ignored = context.attributes['ignore_index'] ? numberOf(context, 'ignore_index', 0) : undefined;
  const shares = labels.data.map((label) => (label === ignored ? 0 : (weights?.data[label] ?? 1)));
  const each = labels.data.map((label, position) => {
    if (label === ignored) return 0;
    const [sample, place] = [Math.floor(position / inner), position % inner];
    return -(logs.data[(sample * classes + label) * inner + place] as number) * (shares[position] as number);
  });
  const total = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0);
  const reduction = textOf(context, 'reduction', 'mean');
  if (reduction === 'none') return { dtype: logs.dtype, shape: labels.shape, data: each };
  return { dtype: logs.dtype, shape: [], data: Float64Array.of(reduction === 'sum' ? total(each) : total(each) / total(shares)) };
}

/** Reference kernels of the losses. */
export const lossKernels: Readonly<Record<string, ReferenceKernel>> = {
  ':NegativeLogLikelihoodLoss': ([logs, labels, weights], context) => [
    negativeLogLikelihood(logs as ReferenceTensor, labels as ReferenceTensor, weights, context),
  ],
  ':SoftmaxCrossEntropyLoss': ([scores, labels, weights], context) => {
    const logSoftmax = reductionKernels[':LogSoftmax'] as ReferenceKernel;
    const [logs] = logSoftmax([scores], { attributes: { axis: { kind: 'int', value: 1 } }, outputs: 1 }) as [ReferenceTensor];
    return [negativeLogLikelihood(logs, labels as ReferenceTensor, weights, context), logs];
  },
};
