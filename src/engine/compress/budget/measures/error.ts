import type { Measure } from '../measure';
import { weightedSquares } from '../optionErrors';

/** Errors of queries and keys reach the loss through the softmax of their scores, which takes less of them over. */
const queryKeyFactor = 0.5;

/**
 * Error of the weights alone: no data and no run. The loss of an option is the squared error relative to the squares of the tensor's weights, times the square root of
 * the number of its columns, half for queries and keys. By the relative error alone small tensors get too much, by the error of every weight alike large ones: both
 * factors were chosen by perplexity (docs/benchmarks.md).
 */
export const error: Measure = {
  id: 'error',
  label: 'Weight error',
  summary:
    'Relative squared error of the weights, with more weight on wide layers and less on queries and keys. Needs no data and does not run the model.',
  inNats: false,
  estimate: () => ({ seconds: 0, hostMemoryBytes: 0 }),
  appliesTo: () => true,
  measure: async () => ({
    weightingOf: () => ({}),
    losses: async ({ plan, weights, errors }) => {
      const columns = plan.tensor.shape[1];
      const role = plan.tensor.role === 'query' || plan.tensor.role === 'key' ? queryKeyFactor : 1;
      const factor = (role * Math.sqrt(columns)) / (weightedSquares(weights, columns, {}) || 1);
      return errors.map((squares) => squares * factor);
    },
    release: async () => undefined,
  }),
};
