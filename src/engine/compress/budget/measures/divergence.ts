import { dequantize } from '../../../outputs/planned/dequantize';
import { transposeInto } from '../../../kernels/host/transpose';
import { measuring, type Measure, type TriedTensor } from '../measure';
import { plannedAlone } from '../options';
import { needsRuns, runEstimate, startRuns } from '../runs';

/** Options of a tensor that are measured; the others are interpolated. */
const measuredOptions = 3;

/**
 * How far the model's outputs move when one tensor alone is rounded, measured: mean KL divergence in nats on the calibration sample. A few options of
 * each tensor are measured; the others are predicted from their output error, scaled by the measured ones around them.
 */
export const divergence: Measure = {
  id: 'divergence',
  label: 'Divergence',
  summary:
    'Measured divergence of the outputs when one tensor at a time is rounded. Needs a few passes over the calibration sample per tensor.',
  inNats: true,
  wholeTensors: true,
  estimate: (source, plan) => runEstimate(source, 1 + plan.size * measuredOptions),
  appliesTo: needsRuns,
  measure: async (context) => {
    const { runs, moments } = await startRuns(context);
    let done = 0;
    return {
      weightingOf: (name) => {
        const columnWeights = moments.get(name);
        return columnWeights ? { columnWeights } : {};
      },
      losses: async (tried) => {
        const measured: { readonly error: number; readonly factor: number }[] = [];
        for (const index of spreadOptions(tried)) {
          const error = tried.errors[index] as number;
          const value = await runs.divergence(
            tried.plan.tensor.name,
            roundedWeights(tried, index, context.source.tensors.get(tried.plan.tensor.name)?.transposed === true),
          );
          if (error > 0) measured.push({ error, factor: value / error });
          measuring(context, (done += 1), context.plan.size * measuredOptions);
        }
        measured.sort((a, b) => a.error - b.error);
        return tried.errors.map((error) => error * factorAt(measured, error));
      },
      release: () => runs.release(),
    };
  },
};

/** Indices of options with errors spread evenly (in logarithm) from the largest to a hundredth of it: smaller ones drown in rounding of the run. */
function spreadOptions({ errors }: TriedTensor): readonly number[] {
  const largest = Math.max(...errors);
  const chosen = new Set<number>();
  for (let step = 0; step < measuredOptions; step += 1) {
    const target = Math.log(largest) - (step * Math.log(100)) / (measuredOptions - 1);
    let best = 0;
    errors.forEach((error, index) => {
      if (Math.abs(Math.log(error || 1e-300) - target) < Math.abs(Math.log((errors[best] as number) || 1e-300) - target)) best = index;
    });
    chosen.add(best);
  }
  return [...chosen];
}

/** Divergence for a unit of error, between measured errors by their logarithm, beyond them that of the nearest. */
function factorAt(measured: readonly { readonly error: number; readonly factor: number }[], error: number): number {
  const first = measured[0];
  const last = measured[measured.length - 1];
  if (!first || !last) return 0;
  if (error <= first.error) return first.factor;
  if (error >= last.error) return last.factor;
  const next = measured.findIndex((point) => point.error >= error);
  const [low, high] = [measured[next - 1] as { error: number; factor: number }, measured[next] as { error: number; factor: number }];
  const share = Math.log(error / low.error) / Math.log(high.error / low.error);
  return low.factor + share * (high.factor - low.factor);
}

/** The tensor rounded by an option, in the order in which it is stored. */
function roundedWeights({ plan, weights, weighting, options }: TriedTensor, index: number, transposed: boolean): Float32Array {
  const [rows, columns] = plan.tensor.shape;
  const importance = weighting.columnWeights;
  const matrix = plannedAlone(plan.quantizer)(
    { tensor: plan.tensor, weights, ...(importance ? { importance } : {}) },
    options[index]!.parameters,
  );
  const rounded = dequantize(matrix);
  return transposed ? transposeInto(rounded, columns, 0, rows, new Float32Array(rounded.length)) : rounded;
}
