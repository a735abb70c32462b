/**
 * GGUF block types to float32. Layouts: https://github.com/ggml-org/ggml, docs/gguf.md and the block structures of ggml-common.h. A block
 * has 32 elements; d and m are float16. Low nibbles are elements 0 to 15, high nibbles elements 16 to 31.
 *   Q4_0: d, 16 bytes;            value = (q - 8) d          Q4_1: d, m, 16 bytes;            value = q d + m
 *   Q5_0: d, 4 bytes, 16 bytes;   value = (q - 16) d         Q5_1: d, m, 4 bytes, 16 bytes;   value = q d + m
 *   Q8_0: d, 32 signed bytes;     value = q d                (the 4 bytes are the fifth bits, element i at bit i)
 */
import { float16ToNumber } from '../../../common/halfFloat';
import { dtypes, type DType } from '../../../protocol/dtypes';

const elements = 32;

interface BlockLayout {
  /** Offsets from the start of the block: 0 if the block does not have the part. */
  readonly minimum: number;
  readonly highBits: number;
  readonly codes: number;
  /** Subtracted from a code. */
  readonly centre: number;
}

const layouts: Readonly<Partial<Record<DType, BlockLayout>>> = {
  q4_0: { minimum: 0, highBits: 0, codes: 2, centre: 8 },
  q4_1: { minimum: 2, highBits: 0, codes: 4, centre: 0 },
  q5_0: { minimum: 0, highBits: 2, codes: 6, centre: 16 },
  q5_1: { minimum: 2, highBits: 4, codes: 8, centre: 0 },
};

/** True for the block types that `dequantizeBlocks` supports. */
export function isDecodableBlockType(dtype: DType): boolean {
  return dtype === 'q8_0' || layouts[dtype] !== undefined;
}

/** Fills `out` with the values of whole blocks. Each value is computed in float32, as in GGML: a product and a sum, each rounded. */
export function dequantizeBlocks(dtype: DType, bytes: Uint8Array, out: Float32Array): void {
  const { blockBytes } = dtypes[dtype];
  const layout = layouts[dtype];
  const blocks = Math.min(Math.floor(bytes.length / blockBytes), Math.ceil(out.length / elements));
  for (let block = 0; block < blocks; block += 1) {
    const at = block * blockBytes;
    const scale = half(bytes, at);
    if (layout) nibbleBlock(bytes, at, scale, layout, out, block * elements);
    else for (let i = 0; i < elements; i += 1) out[block * elements + i] = (((bytes[at + 2 + i] as number) << 24) >> 24) * scale;
  }
}

function nibbleBlock(bytes: Uint8Array, at: number, scale: number, layout: BlockLayout, out: Float32Array, start: number): void {
  const minimum = layout.minimum ? half(bytes, at + layout.minimum) : 0;
  const high = layout.highBits ? word(bytes, at + layout.highBits) : 0;
  for (let i = 0; i < 16; i += 1) {
    const byte = bytes[at + layout.codes + i] as number;
    const low = (byte & 15) | (((high >>> i) & 1) << 4);
    const upper = (byte >> 4) | (((high >>> (i + 16)) & 1) << 4);
    const first = Math.fround((low - layout.centre) * scale);
    const second = Math.fround((upper - layout.centre) * scale);
    // Adding a minimum of zero would turn -0 into 0.
    out[start + i] = layout.minimum ? first + minimum : first;
    out[start + i + 16] = layout.minimum ? second + minimum : second;
  }
}

function half(bytes: Uint8Array, at: number): number {
  return float16ToNumber((bytes[at] as number) | ((bytes[at + 1] as number) << 8));
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24);
}
