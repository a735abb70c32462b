import { LoomweightError } from '../../protocol/errors';

/** What a metric says once all samples are in. `loss` is in nats per sample. */
export interface MetricResult {
  readonly metric: 'accuracy' | 'auc';
  readonly value: number;
  readonly loss: number;
}

/** Takes a model's outputs batch by batch. Sums are kept in float64, so that the batch size does not show in the result. */
export interface Metric {
  /** `logits` [count, classes] row-major; `labels` [count]. `first` is the index of the batch's first sample, for messages. */
  add(logits: ArrayLike<number>, labels: ArrayLike<number>, first: number): void;
  result(): MetricResult;
}

/**
 * Accuracy and mean cross-entropy of class labels.
 *
 *   loss = mean(log(sum_c exp(z_c)) - z_label)
 *
 * Labels are whole numbers from 0 to classes - 1. The prediction is the first class with the largest logit, as NumPy's argmax.
 * Errors: `invalid-argument` for a label out of range; `runtime` for a logit that is NaN.
 */
export function classAccuracy(classes: number): Metric {
  let correct = 0;
  let total = 0;
  let lossSum = 0;
  return {
    add(logits, labels, first) {
      for (let i = 0; i < labels.length; i += 1) {
        const label = Number(labels[i]);
        if (!Number.isInteger(label) || label < 0 || label >= classes)
          throw new LoomweightError(
            'invalid-argument',
            `Labels must be whole numbers from 0 to ${classes - 1}, as the model has ${classes} classes; sample ${first + i} has ${labels[i]}.`,
            { sample: first + i, label: labels[i], classes },
          );
        const row = i * classes;
        let best = 0;
        for (let c = 0; c < classes; c += 1) {
          const logit = finiteLogit(logits[row + c], first + i);
          if (logit > Number(logits[row + best])) best = c;
        }
        const largest = Number(logits[row + best]);
        let sum = 0;
        for (let c = 0; c < classes; c += 1) sum += Math.exp(Number(logits[row + c]) - largest);
        lossSum += largest + Math.log(sum) - Number(logits[row + label]);
        if (best === label) correct += 1;
        total += 1;
      }
    },
    result: () => ({ metric: 'accuracy', value: correct / total, loss: lossSum / total }),
  };
}

/**
 * Area under the ROC curve and mean log loss of a single logit.
 *
 *   loss = mean(max(z, 0) - z y + log(1 + exp(-|z|))),   AUC = (sum of ranks of positives - P (P + 1) / 2) / (P N)
 *
 * Equal logits share their mean rank, as scikit-learn's roc_auc_score counts them. Labels are 0 or 1.
 * Errors: `invalid-argument` for other labels, or where one class is missing (the curve does not exist then).
 */
export function binaryAuc(): Metric {
  const scores: number[] = [];
  const positives: boolean[] = [];
  let lossSum = 0;
  return {
    add(logits, labels, first) {
      for (let i = 0; i < labels.length; i += 1) {
        const label = Number(labels[i]);
        if (label !== 0 && label !== 1)
          throw new LoomweightError('invalid-argument', `Labels of a single logit must be 0 or 1; sample ${first + i} has ${labels[i]}.`, {
            sample: first + i,
            label: labels[i],
          });
        const logit = finiteLogit(logits[i], first + i);
        lossSum += Math.max(logit, 0) - logit * label + Math.log1p(Math.exp(-Math.abs(logit)));
        scores.push(logit);
        positives.push(label === 1);
      }
    },
    result: () => ({ metric: 'auc', value: areaUnderCurve(scores, positives), loss: lossSum / scores.length }),
  };
}

function areaUnderCurve(scores: readonly number[], positives: readonly boolean[]): number {
  const order = Uint32Array.from(scores.keys()).sort((a, b) => (scores[a] as number) - (scores[b] as number));
  let rankSum = 0;
  let positiveCount = 0;
  for (let start = 0; start < order.length;) {
    let end = start;
    let positivesHere = 0;
    while (end < order.length && scores[order[end] as number] === scores[order[start] as number]) {
      if (positives[order[end] as number]) positivesHere += 1;
      end += 1;
    }
    // Ranks count from 1; a run of equal scores from `start` to `end - 1` shares their mean.
    rankSum += positivesHere * ((start + 1 + end) / 2);
    positiveCount += positivesHere;
    start = end;
  }
  const negativeCount = scores.length - positiveCount;
  if (positiveCount === 0 || negativeCount === 0)
    throw new LoomweightError(
      'invalid-argument',
      `AUC needs samples of both classes; all ${scores.length} labels are ${positiveCount === 0 ? 0 : 1}. Use another split.`,
      { positiveCount, negativeCount },
    );
  return (rankSum - (positiveCount * (positiveCount + 1)) / 2) / (positiveCount * negativeCount);
}

function finiteLogit(raw: number | undefined, sample: number): number {
  const logit = Number(raw);
  if (Number.isNaN(logit))
    throw new LoomweightError(
      'runtime',
      `The model's output for sample ${sample} is NaN. Its weights or the input contain values that are not finite.`,
      { sample },
    );
  return logit;
}
