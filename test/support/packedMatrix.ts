import { SeededRandom } from '../../src/common/random';

/** How the zero points of a packed matrix are stored. */
export type ZeroKind = 'absent' | 'packed' | 'float';

/** A random matrix as MatMulNBits stores it, with its values worked out in float64, bit by bit. */
export interface PackedSample {
  readonly rows: number;
  readonly columns: number;
  readonly block: number;
  readonly bits: 2 | 4 | 8;
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
  readonly zeros: Uint8Array | Float32Array | undefined;
  /** [rows][columns], float64. */
  readonly values: readonly (readonly number[])[];
}

/** Codes fill the padding of the last block as well, as other tools may leave it. Scales are exact in float16 and bfloat16. */
export function packedSample(
  { rows, columns, block, bits }: Pick<PackedSample, 'rows' | 'columns' | 'block' | 'bits'>,
  kind: ZeroKind,
  seed = 1,
): PackedSample {
  const random = new SeededRandom(seed);
  const blocks = Math.ceil(columns / block);
  const codes = Uint8Array.from({ length: (rows * blocks * block * bits) / 8 }, () => random.nextBelow(256));
  const scales = Float32Array.from({ length: rows * blocks }, () => (1 + random.nextBelow(100)) / 1024);
  const zeroRowBytes = Math.ceil((blocks * bits) / 8);
  const zeros =
    kind === 'absent'
      ? undefined
      : kind === 'packed'
        ? Uint8Array.from({ length: rows * zeroRowBytes }, () => random.nextBelow(256))
        : Float32Array.from({ length: rows * blocks }, () => random.next() * 2 ** bits);
  const bitsAt = (bytes: Uint8Array, position: number) => {
    let code = 0;
    for (let bit = 0; bit < bits; bit += 1) code += ((bytes[(position + bit) >> 3]! >> ((position + bit) & 7)) & 1) << bit;
    return code;
  };
  const values = Array.from({ length: rows }, (_, row) =>
    Array.from({ length: columns }, (_, column) => {
      const index = Math.floor(column / block);
      const zero =
        zeros === undefined
          ? 2 ** (bits - 1)
          : zeros instanceof Uint8Array
            ? bitsAt(zeros, 8 * row * zeroRowBytes + index * bits)
            : zeros[row * blocks + index]!;
      return (bitsAt(codes, (row * blocks * block + column) * bits) - zero) * scales[row * blocks + index]!;
    }),
  );
  return { rows, columns, block, bits, codes, scales, zeros, values };
}
