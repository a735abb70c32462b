import type { Measure } from '../measure';
import { weightedSquares } from '../optionErrors';
import { needsRuns, startRuns, runEstimate } from '../runs';

/**
 * Squared error of the weights times the second moment of the inputs they meet, relative to the layer's whole output: what the error adds to the
 * layer's output. One pass over the calibration sample.
 */
export const activation: Measure = {
  id: 'activation',
  label: 'Activations',
  summary: "Error of each layer's output, from the second moments of its inputs. Needs one pass over the calibration sample.",
  inNats: false,
  estimate: (source) => runEstimate(source, 1),
  appliesTo: needsRuns,
  measure: async (context) => {
    const { runs, moments } = await startRuns(context);
    return {
      weightingOf: (name) => {
        const columnWeights = moments.get(name);
        return columnWeights ? { columnWeights } : {};
      },
      losses: async ({ plan, weights, weighting, errors }) => {
        const whole = weightedSquares(weights, plan.tensor.shape[1], weighting) || 1;
        return errors.map((squares) => squares / whole);
      },
      release: () => runs.release(),
    };
  },
};
