import { LoomweightError } from '../../../../protocol/errors';
import type { Statistic } from '../../../blocks/taps/tap';
import { requireFiniteInputs } from '../finiteInputs';
import { inverseFactor } from '../../../kernels/host/secondOrder/inverseFactor';
import type { Products } from '../../../kernels/host/secondOrder/subtractProduct';

/** Second derivatives of a layer's squared output error, ready for a sweep. */
export interface FactoredHessian {
  /** Columns in the order of the sweep; undefined: in their own. */
  readonly order: Uint32Array | undefined;
  /** Columns whose input is always 0. */
  readonly dead: readonly number[];
  /** U with H^-1 = U^T U in the order of the sweep, [columns, columns]. */
  readonly factor: Float64Array;
  /** Share of the mean diagonal that was added to the diagonal. */
  readonly damping: number;
}

export interface HessianOptions {
  /** Share of the mean diagonal that is added to the diagonal. */
  readonly damping: number;
  /** Sweep columns with large inputs first. */
  readonly actOrder: boolean;
}

/** Damping after one that was not enough. */
const nextDamping = (damping: number): number => Math.max(1e-4, 10 * damping);
/** With this much the smallest eigenvalue is as large as the mean one: what then fails is not rounding. */
const mostDamping = 1;

/**
 * H = 2 / windows * X^T X of the inputs of the layer `name`, damped and factored. A diagonal element 0 becomes 1: the input is never seen. Where H is not positive definite to
 * working precision, damping is raised tenfold until it is. Errors: `malformed-file` for inputs that are not finite.
 */
export async function factorHessian(name: string, gram: Statistic, options: HessianOptions, products?: Products): Promise<FactoredHessian> {
  const columns = gram.shape[0] as number;
  const scale = 2 / gram.windows;
  const diagonal = new Float64Array(columns);
  const dead: number[] = [];
  for (let column = 0; column < columns; column += 1) {
    const value = scale * (gram.values[column * columns + column] as number);
    if (value === 0) dead.push(column);
    diagonal[column] = value === 0 ? 1 : value;
  }
  requireFiniteInputs(name, diagonal);
  const order = options.actOrder ? byDescending(diagonal) : undefined;
  const mean = diagonal.reduce((sum, value) => sum + value, 0) / columns;
  const factor = new Float64Array(columns * columns);
  for (let { damping } = options; ; damping = nextDamping(damping)) {
    fill(factor, gram.values, { columns, scale, order, diagonal, added: damping * mean });
    if (await inverseFactor(factor, columns, products)) return { order, dead, factor, damping };
    if (damping >= mostDamping)
      throw new LoomweightError('runtime', `The Gram matrix of the inputs of '${name}' cannot be factored, even with much damping.`, {
        tensor: name,
        damping,
      });
  }
}

/** Columns by descending value; equal ones keep their order. */
function byDescending(values: Float64Array): Uint32Array {
  return Uint32Array.from(values.keys()).sort((a, b) => (values[b] as number) - (values[a] as number) || a - b);
}

function fill(
  target: Float64Array,
  gram: Float64Array,
  {
    columns,
    scale,
    order,
    diagonal,
    added,
  }: {
    readonly columns: number;
    readonly scale: number;
    readonly order: Uint32Array | undefined;
    readonly diagonal: Float64Array;
    readonly added: number;
  },
): void {
  for (let row = 0; row < columns; row += 1) {
    const from = order ? (order[row] as number) : row;
    const line = from * columns;
    const start = row * columns;
    if (order)
      for (let column = 0; column < columns; column += 1)
        target[start + column] = scale * (gram[line + (order[column] as number)] as number);
    else for (let column = 0; column < columns; column += 1) target[start + column] = scale * (gram[line + column] as number);
    target[start + row] = (diagonal[from] as number) + added;
  }
}
