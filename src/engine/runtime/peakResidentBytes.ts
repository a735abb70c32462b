/** Largest resident size that this process has had, as the system counts it: native runs included, which no timer sees. */
export function peakResidentBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}
