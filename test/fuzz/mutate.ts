import type { SeededRandom } from '../../src/common/random';

/** Words that readers meet where they expect something else: members of objects, extreme numbers, brackets without end, characters that are none. */
const words = [
  ...['constructor', '__proto__', 'toString', 'hasOwnProperty', '"__proto__":{},', 'null', 'true', '{}', '[]', '""', '[[[[', '{"a":'],
  ...['-1', '0', '1e999', '-0', '1e-400', '9007199254740993', '18446744073709551615', '2147483648', '4294967296', '0.5', 'NaN', 'Infinity'],
  ...[
    '\u0000',
    '\u001b[2J',
    '\u202e',
    '\ufeff',
    '\ud800',
    '../',
    '/etc/passwd',
    'C:\\',
    '%s',
    '\n',
    '\r',
    ',',
    ':',
    '"',
    "'",
    '\\',
    '[',
    ']',
    '{',
    '}',
  ],
  ...['a'.repeat(300), '['.repeat(300), '&a *a', '<<: *a', '!!binary', 'F32', 'BOOL', 'U64', 'F8_E4M3', 'tensor', 'data_offsets'],
].map((word) => Buffer.from(word));

const extremes = [
  0n,
  1n,
  127n,
  128n,
  255n,
  2n ** 15n,
  2n ** 16n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
];

/** A mutated copy: one to five changes of bytes, lengths, numbers and words, most of them where a file has its header or its footer. */
export function mutated(seed: Uint8Array, other: Uint8Array, random: SeededRandom): Buffer {
  let bytes: Buffer = Buffer.from(seed);
  for (let change = 1 + random.nextBelow(5); change > 0 && bytes.length > 0; change -= 1) bytes = changed(bytes, other, random);
  return bytes;
}

function place(length: number, random: SeededRandom): number {
  const header = Math.min(length, 600);
  switch (random.nextBelow(4)) {
    case 0:
      return random.nextBelow(length);
    case 1:
      return length - 1 - random.nextBelow(header);
    default:
      return random.nextBelow(header);
  }
}

function changed(bytes: Buffer, other: Uint8Array, random: SeededRandom): Buffer {
  const at = place(bytes.length, random);
  const count = 1 + random.nextBelow(32);
  switch (random.nextBelow(11)) {
    case 0:
      bytes[at] = (bytes[at] as number) ^ (1 << random.nextBelow(8));
      return bytes;
    case 1:
      bytes[at] = random.nextBelow(256);
      return bytes;
    case 2:
      return bytes.subarray(0, at);
    case 3:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + count)]);
    case 4:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.max(0, at - count * 4))]);
    case 5: {
      const value = extremes[random.nextBelow(extremes.length)] as bigint;
      const width = [1, 2, 4, 8][random.nextBelow(4)] as number;
      for (let byte = 0; byte < width && at + byte < bytes.length; byte += 1) bytes[at + byte] = Number((value >> BigInt(8 * byte)) & 255n);
      return bytes;
    }
    case 6:
      return bytes.fill(random.nextBelow(256), at, Math.min(bytes.length, at + count));
    case 7:
    case 8: {
      const word = words[random.nextBelow(words.length)] as Buffer;
      const kept = random.nextBelow(2) === 0 ? at : Math.min(bytes.length, at + word.length);
      return Buffer.concat([bytes.subarray(0, at), word, bytes.subarray(kept)]);
    }
    case 9: {
      // A whole number in digits becomes another.
      const start = bytes.findIndex((value, index) => index >= at && value >= 0x30 && value <= 0x39);
      if (start < 0) return bytes;
      let end = start;
      while (end < bytes.length && (bytes[end] as number) >= 0x30 && (bytes[end] as number) <= 0x39) end += 1;
      const value = random.nextBelow(3) === 0 ? random.nextBelow(300) : Number(extremes[random.nextBelow(extremes.length)] as bigint);
      return Buffer.concat([bytes.subarray(0, start), Buffer.from(String(value)), bytes.subarray(end)]);
    }
    default: {
      // A piece of another file of the kind.
      if (other.length === 0) return bytes;
      const from = random.nextBelow(other.length);
      return Buffer.concat([bytes.subarray(0, at), other.subarray(from, from + count * 8), bytes.subarray(at + count * 8)]);
    }
  }
}
