import type { Measure } from '../measure';
import { weightedSquares } from '../optionErrors';

/** Error of the weights alone: no data and no run. The loss of an option is the squared error relative to the squares of the tensor's weights. */
export const error: Measure = {
  id: 'error',
  label: 'Weight error',
  summary: 'Relative squared error of the weights. Needs neither data nor a run of the model.',
  inNats: false,
  estimate: () => ({ seconds: 0, hostMemoryBytes: 0 }),
  appliesTo: () => true,
  measure: async () => ({
    weightingOf: () => ({}),
    losses: async ({ plan, weights, errors }) => {
      const whole = weightedSquares(weights, plan.tensor.shape[1], {}) || 1;
      return errors.map((squares) => squares / whole);
    },
    release: async () => undefined,
  }),
};
