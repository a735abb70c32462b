import type { CustomGradient } from '../autodiff/differentiate';
import type { Value } from '../graph/graph';

/**
 * Passes the gradient of `output` to `input` unchanged, whatever is between them: rounding counts as the identity (Bengio, Leonard,
 * Courville 2013). Both have the same type and shape.
 */
export const straightThrough = (output: Value, input: Value): CustomGradient => ({
  output,
  inputs: [input],
  gradient: (_build, outputGradient) => [outputGradient],
});
