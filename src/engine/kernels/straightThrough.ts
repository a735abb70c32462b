import type { CustomGradient } from '../autodiff/differentiate';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';

/**
 * The gradient of `output` is passed to `input` unchanged, whatever lies between them: rounding counts as the identity
 * (Bengio, Leonard, Courville 2013). Both have one type and shape.
 */
export const straightThrough = (output: Value, input: Value): CustomGradient => ({
  output,
  inputs: [input],
  gradient: (_build, outputGradient) => [outputGradient],
});

/** A value equal to `value` through which no gradient passes; the region must be given to the differentiation. */
export function withoutGradient(build: GraphBuilder, value: Value): { readonly value: Value; readonly region: CustomGradient } {
  const copy = build.op('Identity', [value]);
  return { value: copy, region: { output: copy, inputs: [value], gradient: () => [undefined] } };
}
