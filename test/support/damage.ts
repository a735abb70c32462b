import fc from 'fast-check';

/** One change to the bytes of a file. Positions are taken modulo the file's length, so that any list of changes applies to any file. */
export type Damage =
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'replace'; readonly at: number; readonly byte: number }
  | { readonly kind: 'truncate'; readonly at: number }
  | { readonly kind: 'remove'; readonly at: number; readonly count: number }
  | { readonly kind: 'repeat'; readonly at: number; readonly count: number }
  | { readonly kind: 'extreme'; readonly at: number; readonly value: bigint }
  | { readonly kind: 'fill'; readonly at: number; readonly count: number; readonly byte: number }
  | { readonly kind: 'digit'; readonly at: number; readonly digit: number };

const byte = fc.nat(255);
const extremes = [0n, 1n, 2n ** 31n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];

/**
 * One to four changes to a file of `length` bytes: a flipped bit, a replaced byte, a cut, a piece removed, repeated or overwritten, a 64-bit
 * length set to an extreme value, a decimal digit changed. Four fifths of them hit the first `header` bytes, where a wrong number
 * does most harm. Shrinks to fewer changes at lower positions.
 */
export function damages(length: number, header = 1200): fc.Arbitrary<Damage[]> {
  const at = fc.oneof({ weight: 4, arbitrary: fc.nat(Math.min(length, header) - 1) }, { weight: 1, arbitrary: fc.nat(length - 1) });
  const change = fc.oneof(
    fc.record({ kind: fc.constant('flip' as const), at, bit: fc.nat(7) }),
    fc.record({ kind: fc.constant('replace' as const), at, byte }),
    fc.record({ kind: fc.constant('truncate' as const), at }),
    fc.record({ kind: fc.constant('remove' as const), at, count: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ kind: fc.constant('repeat' as const), at, count: fc.integer({ min: 1, max: 200 }) }),
    fc.record({ kind: fc.constant('extreme' as const), at, value: fc.constantFrom(...extremes) }),
    fc.record({ kind: fc.constant('fill' as const), at, count: fc.integer({ min: 1, max: 16 }), byte }),
    fc.record({ kind: fc.constant('digit' as const), at, digit: fc.nat(9) }),
  );
  return fc.array(change, { minLength: 1, maxLength: 4 });
}

/** A copy of a file with the changes made one after the other; an empty file stays empty. */
export function damaged(file: Uint8Array, changes: readonly Damage[]): Buffer {
  return changes.reduce<Buffer>((bytes, change) => (bytes.length === 0 ? bytes : changed(bytes, change)), Buffer.from(file));
}

function changed(bytes: Buffer, change: Damage): Buffer {
  const at = change.at % bytes.length;
  switch (change.kind) {
    case 'flip':
      bytes[at] = (bytes[at] as number) ^ (1 << change.bit);
      return bytes;
    case 'replace':
      bytes[at] = change.byte;
      return bytes;
    case 'truncate':
      return bytes.subarray(0, at);
    case 'remove':
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + change.count)]);
    case 'repeat':
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.max(0, at - change.count))]);
    case 'extreme':
      if (at + 8 <= bytes.length) bytes.writeBigUInt64LE(change.value, at);
      return bytes;
    case 'fill':
      return bytes.fill(change.byte, at, Math.min(bytes.length, at + change.count));
    case 'digit': {
      const digit = bytes.findIndex((value, index) => index >= at && value >= 0x30 && value <= 0x39);
      if (digit >= 0) bytes[digit] = 0x30 + change.digit;
      return bytes;
    }
  }
}
