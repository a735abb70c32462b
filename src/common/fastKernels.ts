/** Widths in bits and groups of weights that ONNX Runtime's MatMulNBits has kernels for; anything else fails when a session is created. */
export const fastKernelBits: readonly number[] = [2, 4, 8];
export const fastKernelGroups: readonly number[] = [16, 32, 64, 128, 256];

/** True if the kernels take codes of that width. */
export function isFastWidth(bits: unknown): boolean {
  return fastKernelBits.includes(Number(bits));
}

/** True if the kernels take groups of that size. One scale for a row or a tensor is repeated for every block, which is exact. */
export function isFastGroup(groupSize: unknown): boolean {
  return groupSize === 'row' || groupSize === 'tensor' || fastKernelGroups.includes(Number(groupSize));
}
