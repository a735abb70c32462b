/** Sums over samples, in float64. Logits are row-major. */

/** Classes with the largest logit right, and the sum of -log softmax(logits)[label] in nats. */
export function classScores(
  logits: ArrayLike<number>,
  classes: number,
  labels: ArrayLike<number>,
): { readonly correct: number; readonly loss: number } {
  let correct = 0;
  let loss = 0;
  for (let row = 0; row < labels.length; row += 1) {
    const start = row * classes;
    let best = 0;
    for (let column = 1; column < classes; column += 1)
      if ((logits[start + column] as number) > (logits[start + best] as number)) best = column;
    const largest = logits[start + best] as number;
    let sum = 0;
    for (let column = 0; column < classes; column += 1) sum += Math.exp((logits[start + column] as number) - largest);
    loss += Math.log(sum) + largest - (logits[start + (labels[row] as number)] as number);
    if (best === labels[row]) correct += 1;
  }
  return { correct, loss };
}

/** Sum of the binary cross-entropy of logits against labels 0 and 1: log(1 + e^x) - y x, in nats. */
export function binaryLoss(logits: ArrayLike<number>, labels: ArrayLike<number>): number {
  let loss = 0;
  for (let row = 0; row < labels.length; row += 1) {
    const x = logits[row] as number;
    loss += Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))) - (labels[row] as number) * x;
  }
  return loss;
}

/**
 * Area under the receiver operating characteristic: the chance that a positive scores above a negative, ties counting half
 * (Mann and Whitney). Undefined where one of the classes is missing.
 */
export function areaUnderCurve(scores: ArrayLike<number>, labels: ArrayLike<number>): number | undefined {
  const order = Uint32Array.from({ length: labels.length }, (_, index) => index).sort(
    (a, b) => (scores[a] as number) - (scores[b] as number),
  );
  let positives = 0;
  let rankSum = 0;
  for (let first = 0; first < order.length;) {
    let end = first;
    while (end < order.length && scores[order[end] as number] === scores[order[first] as number]) end += 1;
    // NaN equals nothing, not even itself: it would stop here.
    if (end === first) return undefined;
    const rank = (first + 1 + end) / 2;
    for (let index = first; index < end; index += 1)
      if (labels[order[index] as number] === 1) {
        positives += 1;
        rankSum += rank;
      }
    first = end;
  }
  const negatives = order.length - positives;
  if (positives === 0 || negatives === 0) return undefined;
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}
