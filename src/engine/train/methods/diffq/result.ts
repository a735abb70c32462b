import type { LearnedTensor } from '../../../formats/archive/learnedTensor';
import { bitsOfLogits } from '../../../kernels/bitWidths';
import { extremes } from '../../../kernels/host/uniformQuantize';
import type { HostState } from '../../contract';
import { bitsOfWidth, roundedWidths, tensorBits, widthsForBudget } from '../shared/fitWidths';
import { canonicalWeights, realizeTensor } from '../shared/realizeTensor';
import { fittedRange, spreadRange, type Range } from './range';
import { variableNames, type DiffqModel, type DiffqTensor } from './model';

/** What becomes of a state on the host: whole widths, rounded weights, sizes. */
export class DiffqResult {
  constructor(private readonly model: DiffqModel) {}

  /** Errors: `invalid-argument` where even the narrowest widths take more than the target. */
  requireReachable(): void {
    const { settings, tensors } = this.model;
    this.fitted(tensors.map(({ groups }) => new Float64Array(groups.count).fill(settings.range.minimum)));
  }

  /** Freezes widths and ranges for the settling steps. Nothing changes where they are frozen already. */
  settle(state: HostState): Readonly<Record<string, Float32Array>> {
    const { tensors } = this.model;
    if (tensors.some(({ parameter }) => this.isSettled(parameter.name, state))) return {};
    const widths = this.widths(state);
    return Object.fromEntries(
      tensors.flatMap((tensor, index) => {
        const own = widths[index] as Uint8Array;
        const { minimum, maximum } = this.rangeOf(tensor, state, own);
        return [
          [variableNames.widths(tensor.parameter.name), tensor.groups.fromCanonical(Float32Array.from(own))],
          [variableNames.range(tensor.parameter.name), Float32Array.of(minimum, maximum)],
        ];
      }),
    );
  }

  realize(state: HostState): readonly LearnedTensor[] {
    const { settings, tensors } = this.model;
    const widths = this.widths(state);
    return tensors.map((tensor, index) => {
      const { parameter } = tensor;
      const bits = widths[index] as Uint8Array;
      return realizeTensor(parameter, canonicalWeights(parameter, state.parameter(parameter.name)), {
        groupSize: settings.groupSize,
        bits,
        ...this.rangeOf(tensor, state, bits),
        bitsOfWidth: tableBits(bits, settings.range.minimum),
      });
    });
  }

  sizes(state: HostState): { readonly estimatedBits: number; readonly trueBits: number } {
    const learned = this.learnedWidths(state);
    return { estimatedBits: this.total(learned), trueBits: this.total(this.widths(state)) };
  }

  /** Learned widths with the extra bits, not rounded, in canonical order of the groups; once settled the settled ones. */
  private learnedWidths(state: HostState): readonly Float64Array[] {
    const { settings, tensors } = this.model;
    return tensors.map(({ parameter: { name }, groups }) => {
      if (this.isSettled(name, state)) return Float64Array.from(groups.toCanonical(state.variable(variableNames.widths(name))));
      const bits = bitsOfLogits(groups.toCanonical(state.variable(variableNames.logits(name))), settings.range);
      return bits.map((width) => width + settings.extraBits);
    });
  }

  private widths(state: HostState): readonly Uint8Array[] {
    const learned = this.learnedWidths(state);
    const settled = this.model.tensors.every(({ parameter }) => this.isSettled(parameter.name, state));
    return this.model.steering && !settled ? this.fitted(learned) : learned.map((bits) => roundedWidths(bits));
  }

  private fitted(learned: readonly Float64Array[]): readonly Uint8Array[] {
    const { settings, tensors, steering, entries } = this.model;
    const unrounded = tensors.map(({ groups }, index) => ({
      bits: learned[index] as Float64Array,
      entries: (group: number) => groups.entriesOf(group),
    }));
    return widthsForBudget(unrounded, (steering?.targetBits ?? 0) * entries, settings.range.minimum);
  }

  private isSettled(name: string, state: HostState): boolean {
    return this.model.settings.settleFrom !== undefined && (state.variable(variableNames.widths(name))[0] as number) > 0;
  }

  private rangeOf({ parameter }: DiffqTensor, state: HostState, widths: Uint8Array): Range {
    const { settings } = this.model;
    const { name } = parameter;
    if (this.isSettled(name, state)) {
      const [minimum = 0, maximum = 0] = state.variable(variableNames.range(name));
      return { minimum, maximum };
    }
    const weights = state.parameter(name);
    if (settings.clipRange === 0) return extremes(weights, name);
    const wide = spreadRange(weights, settings.clipRange, name);
    return fittedRange(canonicalWeights(parameter, weights), wide, settings.groupSize, widths);
  }

  /** Bits of the whole model by the published formula. */
  private total(widths: readonly ArrayLike<number>[]): number {
    const { settings, tensors, restBits } = this.model;
    return tensors.reduce(
      (sum, { groups }, index) =>
        sum + tensorBits(widths[index] as ArrayLike<number>, (group) => groups.entriesOf(group), settings.range.minimum),
      restBits,
    );
  }
}

/** Bits of a table entry by the published formula, or more where extra bits below 0 have made widths below the smallest learned one. */
function tableBits(widths: Uint8Array, minimumBits: number): number {
  let [narrowest, widest]: [number, number] = [Infinity, 0];
  for (const width of widths) {
    narrowest = Math.min(narrowest, width);
    widest = Math.max(widest, width);
  }
  return bitsOfWidth(widest, Math.min(minimumBits, narrowest));
}
