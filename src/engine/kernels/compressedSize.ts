import { int } from '../graph/builder';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import { formula } from '../ops/formula';
import type { WeightGroups } from './weightGroups';

/** Bits per MiB, the unit of DiffQ's penalty. */
export const bitsOfMebibyte = 2 ** 23;

/** Bits for minimum and maximum as float32, and for the size of an entry in the table of widths. */
export const rangeBits = 64;
export const tableHeaderBits = 8;

/**
 * Size of one tensor in bits by DiffQ's formula, a float32 scalar:
 *
 *   sum_groups |G| (b + extra) + 64 + 8 + bitsOfWidth groups,   bitsOfWidth = ceil(log2(1 + round(max b + extra) - smallest width))
 *
 * The share of the table is treated as constant in the gradient. A shorter last group counts only its own entries.
 */
export function compressedBits(
  build: GraphBuilder,
  bits: Value,
  groups: WeightGroups,
  { extraBits, minimumBits }: { readonly extraBits: number; readonly minimumBits: number },
): Value {
  const { add, sub, mul, div, op } = formula(build, 'float32');
  const whole = (name: string, value: Value): Value => build.op(name, [value], { keepdims: int(0) });
  const last = groups.entriesOf(groups.count - 1);
  const entries = (groups.count - 1) * groups.size + last;
  // Only the flat layout has a shorter last group, and there it is also last in the graph.
  const weighted =
    last === groups.size
      ? mul(whole('ReduceSum', bits), groups.size)
      : whole(
          'ReduceSum',
          mul(
            bits,
            build.float32(
              Array.from({ length: groups.count }, (_, group) => groups.entriesOf(group)),
              groups.shape,
            ),
          ),
        );
  const widest = op('Round', add(whole('ReduceMax', bits), extraBits));
  const choices = op('Max', add(sub(widest, minimumBits), 1), 1);
  // Logarithms of powers of two may be too large by a rounding error.
  const bitsOfWidth = op('Ceil', sub(div(op('Log', choices), Math.LN2), 1e-5));
  return add(add(weighted, mul(bitsOfWidth, groups.count)), extraBits * entries + rangeBits + tableHeaderBits);
}
