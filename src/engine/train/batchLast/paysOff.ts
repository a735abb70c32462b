/** Smaller batches make short runs of memory. */
const leastBatch = 8;

/** Whether a convolution of x [batch, channels, ...space] is faster with the batch last. */
export function paysOff([batch = 0]: readonly number[]): boolean {
  return batch >= leastBatch;
}
