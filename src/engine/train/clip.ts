import type { GraphBuilder } from '../graph/builder';
import { int } from '../graph/builder';
import type { Value } from '../graph/graph';

/** All gradients times min(1, clip / (norm + 1e-6)), as PyTorch's clip_grad_norm_. */
export function clippedGradients(
  build: GraphBuilder,
  gradients: readonly (Value | undefined)[],
  clip: number | undefined,
): readonly (Value | undefined)[] {
  if (clip === undefined) return gradients;
  const squares = gradients.flatMap((gradient) =>
    gradient ? [build.op('ReduceSum', [build.op('Mul', [gradient, gradient])], { keepdims: int(0) })] : [],
  );
  if (squares.length === 0) return gradients;
  const norm = build.op('Sqrt', [squares.reduce((sum, square) => build.op('Add', [sum, square]))], {}, { name: 'gradients/norm' });
  const scale = build.op('Min', [build.op('Div', [build.float32(clip), build.op('Add', [norm, build.float32(1e-6)])]), build.float32(1)]);
  return gradients.map((gradient) => gradient && build.op('Mul', [gradient, scale]));
}
