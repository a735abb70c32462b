/**
 * The error function in float64 (relative error near 1e-15): the Taylor series around 0, the continued fraction of the complement outside.
 * Abramowitz and Stegun 7.1.6 and 7.1.14.
 */
export function errorFunction(x: number): number {
  const size = Math.abs(x);
  if (size > 6) return Math.sign(x);
  if (size < 2.5) {
    let term = x;
    let sum = x;
    for (let k = 1; k < 200 && Math.abs(term) > 1e-18 * Math.abs(sum); k += 1) {
      term *= (2 * x * x) / (2 * k + 1);
      sum += term;
    }
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }
  let fraction = 0;
  for (let k = 60; k >= 1; k -= 1) fraction = k / 2 / (size + fraction);
  const complement = Math.exp(-size * size) / Math.sqrt(Math.PI) / (size + fraction);
  return Math.sign(x) * (1 - complement);
}

/** The logistic function. */
export const logistic = (x: number): number => 1 / (1 + Math.exp(-x));

/** The distribution function of the standard normal distribution. */
export const normalDistribution = (x: number): number => (1 + errorFunction(x / Math.SQRT2)) / 2;
