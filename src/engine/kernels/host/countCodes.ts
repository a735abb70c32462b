/**
 * Adds to `counts` how often each code occurs: 256 counters take bytes, 65,536 take little-endian 16-bit codes.
 * Neighbouring weights often share a code, and a counter that was just written must be stored before it is read again; so four
 * tables of 32-bit counters take turns, and two codes come with each 32-bit load. (Measured on 16 MB of float16: see
 * test/benchmarks/statistics.mjs.)
 */
export function countCodes(bytes: Uint8Array, counts: Float64Array): void {
  if (counts.length === 256) countBytes(bytes, counts);
  else countWords(bytes, counts);
}

function countWords(bytes: Uint8Array, counts: Float64Array): void {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const pairs = new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length >>> 2);
  const even = new Uint32Array(65536);
  const odd = new Uint32Array(65536);
  for (let i = 0; i < pairs.length; i += 1) {
    const pair = pairs[i] as number;
    even[pair & 0xffff]! += 1;
    odd[pair >>> 16]! += 1;
  }
  if (aligned.length % 4 >= 2) {
    const last = aligned.length - (aligned.length % 4);
    even[(aligned[last] as number) | ((aligned[last + 1] as number) << 8)]! += 1;
  }
  for (let code = 0; code < 65536; code += 1) counts[code]! += (even[code] as number) + (odd[code] as number);
}

function countBytes(bytes: Uint8Array, counts: Float64Array): void {
  const local = new Uint32Array(256);
  for (let i = 0; i < bytes.length; i += 1) local[bytes[i] as number]! += 1;
  for (let code = 0; code < 256; code += 1) counts[code]! += local[code] as number;
}
