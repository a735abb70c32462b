import type { BooleanParam, NumberParam } from '../../../../common/params';
import type { Statistic } from '../../../blocks/taps/tap';
import type { Products } from '../../../kernels/host/secondOrder/subtractProduct';
import type { BlockOffer, QuantizableTensor } from '../quantizer';
import { factorHessian, type FactoredHessian, type HessianOptions } from './factoredHessian';

/** Columns of a block of a sweep, as in the published code. */
export const sweepBlock = 128;

/** Multiply-adds a second on one core (docs/benchmarks.md), on the low side. */
const productsPerSecond = 8e8;

export const dampingParameter: NumberParam = {
  key: 'damping',
  label: 'Damping',
  doc: 'Share of the mean squared input that is added to each squared input. Raised where the inputs depend on each other too much to be factored.',
  kind: 'number',
  min: 0,
  max: 1,
  default: 0.01,
};

export const actOrderParameter: BooleanParam = {
  key: 'actOrder',
  label: 'Activation order',
  doc: 'Rounds columns with large inputs first, so that the others can correct their errors.',
  kind: 'boolean',
  default: true,
};

/** Memory and time of sweeping over one tensor: its factor, its weights in float64 and in the order of the sweep, and products on their way. */
export function sweepCost({ shape: [rows, columns] }: QuantizableTensor): { readonly bytes: number; readonly seconds: number } {
  return {
    bytes: 8 * columns * columns + 16 * rows * columns + 16 * sweepBlock * (rows + columns) + Math.min(64e6, 8 * rows * columns),
    seconds: (columns ** 3 / 3 + (rows * columns * columns) / 2) / productsPerSecond,
  };
}

/** Factored Hessians of one block: layers with the same inputs share them, the last one is kept. */
export class SharedHessians {
  private last: { readonly gram: Statistic; readonly options: HessianOptions; readonly hessian: FactoredHessian } | undefined;

  constructor(
    private readonly offer: Pick<BlockOffer, 'note'>,
    private readonly products: Products,
  ) {}

  /** The Hessian of the layer `name`. Adds a note where damping was raised. Errors: those of `factorHessian`. */
  async of(name: string, gram: Statistic, options: HessianOptions): Promise<FactoredHessian> {
    const { last } = this;
    if (last?.gram === gram && last.options.damping === options.damping && last.options.actOrder === options.actOrder) return last.hessian;
    // Its memory is wanted for the next.
    this.last = undefined;
    const hessian = await factorHessian(name, gram, options, this.products);
    this.last = { gram, options, hessian };
    if (hessian.damping > options.damping)
      this.offer.note(
        `The inputs of '${name}' depend on each other too much for a damping of ${options.damping}; ${hessian.damping} was used.`,
      );
    return hessian;
  }
}
