import { roundHalfToEven } from '../../../../common/rounding';
import { LoomweightError } from '../../../../protocol/errors';
import { rangeBits, tableHeaderBits } from '../../../kernels/compressedSize';

/** Learned widths of one tensor before they are rounded, extra bits added, and the entries of each group. */
export interface UnroundedWidths {
  readonly bits: Float64Array;
  readonly entries: (group: number) => number;
}

/** Narrowest and widest width that is stored. */
export const storedWidths = { narrowest: 1, widest: 15 } as const;

/** Bits of one entry of a tensor's table of widths: ceil(log2(1 + widest - minBits)). */
export function bitsOfWidth(widest: number, minimumBits: number): number {
  return Math.max(0, Math.ceil(Math.log2(Math.max(1, 1 + roundHalfToEven(widest) - minimumBits))));
}

/** Widths rounded half to even and kept within what is stored, all lowered by `shift` first. */
export function roundedWidths(bits: Float64Array, shift = 0, narrowest: number = storedWidths.narrowest): Uint8Array {
  return Uint8Array.from(bits, (width) => Math.min(storedWidths.widest, Math.max(narrowest, roundHalfToEven(width - shift))));
}

/** Size in bits of a tensor with these widths, as the published formula counts it. */
export function tensorBits(widths: ArrayLike<number>, entries: (group: number) => number, minimumBits: number): number {
  let sum = 0;
  let widest = 0;
  for (let group = 0; group < widths.length; group += 1) {
    const width = widths[group] as number;
    sum += width * entries(group);
    if (width > widest) widest = width;
  }
  return sum + rangeBits + tableHeaderBits + bitsOfWidth(widest, minimumBits) * widths.length;
}

/**
 * Whole widths for all tensors together that take at most `budget` bits, tables included: every learned width is lowered by one common shift (or raised,
 * where there is room), then rounded, so that the order that training found stays; what a rounded shift leaves over goes to the groups that were nearest to
 * the next width. Errors: `invalid-argument` where the narrowest widths do not fit.
 */
export function widthsForBudget(tensors: readonly UnroundedWidths[], budget: number, minimumBits: number): Uint8Array[] {
  const narrowest = Math.max(storedWidths.narrowest, Math.ceil(minimumBits));
  const atShift = (shift: number): Uint8Array[] => tensors.map(({ bits }) => roundedWidths(bits, shift, narrowest));
  const sizeOf = (widths: readonly Uint8Array[]): number =>
    widths.reduce((sum, each, index) => sum + tensorBits(each, (tensors[index] as UnroundedWidths).entries, minimumBits), 0);
  let high: number = storedWidths.widest + 1;
  let best = atShift(high);
  if (sizeOf(best) > budget) throw tooSmall(budget, sizeOf(best), tensors);
  let low: number = -storedWidths.widest;
  for (let round = 0; round < 40 && high - low > 1e-7; round += 1) {
    const middle = (low + high) / 2;
    const widths = atShift(middle);
    if (sizeOf(widths) <= budget) {
      best = widths;
      high = middle;
    } else low = middle;
  }
  fillUp(tensors, best, budget - sizeOf(best), high);
  return best;
}

/** Raises single groups by a bit while there is room, nearest to the next width first; never beyond a tensor's widest, which would change its table. */
function fillUp(tensors: readonly UnroundedWidths[], widths: readonly Uint8Array[], room: number, shift: number): void {
  if (room < 1) return;
  const candidates = tensors.flatMap(({ bits }, tensor) => {
    const own = widths[tensor] as Uint8Array;
    const widest = own.reduce((most, width) => Math.max(most, width), 0);
    return Array.from(own, (width, group) => ({ tensor, group, width, ahead: (bits[group] as number) - shift - width })).filter(
      ({ width, ahead }) => width < widest && ahead > -0.5,
    );
  });
  candidates.sort((a, b) => b.ahead - a.ahead);
  let rest = room;
  for (const { tensor, group, width } of candidates) {
    const cost = (tensors[tensor] as UnroundedWidths).entries(group);
    if (cost > rest) continue;
    (widths[tensor] as Uint8Array)[group] = width + 1;
    rest -= cost;
    if (rest < 1) return;
  }
}

function tooSmall(budget: number, smallest: number, tensors: readonly UnroundedWidths[]): LoomweightError {
  const entries = tensors.reduce((sum, { bits, entries: of }) => sum + bits.reduce((part, _, group) => part + of(group), 0), 0);
  return new LoomweightError(
    'invalid-argument',
    `The target of ${(budget / entries).toFixed(3)} bits per weight cannot be met: with every group at its smallest width the tensors take ${(smallest / entries).toFixed(3)}. Raise targetBits or lower minBits.`,
    { targetBits: budget / entries, smallestBits: smallest / entries },
  );
}
