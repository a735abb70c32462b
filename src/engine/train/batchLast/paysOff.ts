/**
 * A Gather copies runs as long as the batch. Those of 16 samples (64 bytes) are worth it for any image, those of 8 only for small ones: a batch of 8 images of
 * 56 x 56 with 64 channels took 1.35 times as long, of 32 x 32 0.94 times. Figures: docs/benchmarks.md.
 */
const leastBatch = 16;
const leastBatchOfSmallImages = 8;
const mostPlacesOfSmallImages = 32 * 32;

/** Whether a convolution of x [batch, channels, ...space] is faster with the batch last. */
export function paysOff([batch = 0, , ...space]: readonly number[]): boolean {
  const places = space.reduce((product, length) => product * length, 1);
  return batch >= (places <= mostPlacesOfSmallImages ? leastBatchOfSmallImages : leastBatch);
}
