/** Bytes of planned tensors that stay in memory where nothing limits it. */
const mostResident = 1.5e9;
/** The process with the runtime loaded and the chunks on their way. */
const reserved = 250e6;

/** Bytes of planned tensors that stay in memory under a limit: a quarter of what the process does not need itself; the rest of the tensors go to a temporary file. */
export function storeLimit(memoryLimit: number | undefined): number {
  return memoryLimit === undefined ? mostResident : Math.min(mostResident, Math.max(0, (memoryLimit - reserved) / 4));
}
