import type { Measure } from '../measure';
import { weightedSquares } from '../optionErrors';

/**
 * Error of the weights alone: no data and no run. The loss of an option is the squared error relative to the squares of the tensor's weights, times the square root of
 * the number of its columns. By the relative error alone small tensors get too much, by the error of every weight alike large ones: the root between them was chosen
 * by perplexity (docs/benchmarks.md).
 */
export const error: Measure = {
  id: 'error',
  label: 'Weight error',
  summary: 'Relative squared error of the weights, wide layers counted more. Needs neither data nor a run of the model.',
  inNats: false,
  estimate: () => ({ seconds: 0, hostMemoryBytes: 0 }),
  appliesTo: () => true,
  measure: async () => ({
    weightingOf: () => ({}),
    losses: async ({ plan, weights, errors }) => {
      const columns = plan.tensor.shape[1];
      const factor = Math.sqrt(columns) / (weightedSquares(weights, columns, {}) || 1);
      return errors.map((squares) => squares * factor);
    },
    release: async () => undefined,
  }),
};
