import { elementCount } from '../../../protocol/dtypes';
import type { TrainableParameter } from '../contract';
import { PoolRandom } from '../poolRandom';
import type { OpenTrainable } from './graphTrainable';

/**
 * The same model with seeded random weights in the place of its own, by role:
 *
 *   matrices and kernels   uniform within +-1 / sqrt(inputs of one output), as PyTorch starts linear layers and convolutions
 *   embeddings, heads      normal with standard deviation 0.02
 *   norms 1, biases 0
 *
 * Buffers start at mean 0 and variance 1: whichever the file holds, a name with `var` counts as variance. A function of (seed, position of the tensor).
 */
export function withScratchStart(model: OpenTrainable, seed: number): OpenTrainable {
  return {
    ...model,
    parameters: model.parameters.map((parameter, index) => ({ ...parameter, initial: async () => scratchValues(parameter, seed, index) })),
    buffers: model.buffers.map((buffer) => ({
      ...buffer,
      initial: async () => new Float32Array(elementCount(buffer.shape)).fill(/var/i.test(buffer.name) ? 1 : 0),
    })),
  };
}

function scratchValues({ role, shape }: TrainableParameter, seed: number, index: number): Float32Array {
  const values = new Float32Array(elementCount(shape));
  if (role === 'bias') return values;
  if (role === 'norm') return values.fill(1);
  const random = new PoolRandom(seed, index, 0x5ca7);
  if (role === 'embedding' || role === 'head') {
    random.fillGaussian(values);
    return values.map((value) => 0.02 * value);
  }
  const inputs = Math.max(1, elementCount(shape.slice(1)));
  const limit = 2 / Math.sqrt(inputs);
  random.fillUniform(values);
  return values.map((value) => limit * value);
}
