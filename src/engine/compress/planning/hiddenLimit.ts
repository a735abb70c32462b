/** Bytes of hidden states that stay in memory where nothing limits it. */
const mostHidden = 1e9;

/** Bytes of hidden states that stay in memory under a limit; more go to a temporary file. */
export function hiddenLimit(memoryLimit: number | undefined): number {
  return Math.min(mostHidden, (memoryLimit ?? Infinity) / 8);
}
