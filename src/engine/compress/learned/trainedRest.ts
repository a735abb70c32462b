import type { LearnedTensor } from '../../../common/learnedTensor';
import type { HostState, TrainableModel } from '../../train/contract';

/**
 * Everything that training changed and that keeps a float type: parameters that no width was learned for, in canonical order (linear weights
 * [out, in]), and statistics of batches. By name on disk.
 */
export function trainedRest(
  model: TrainableModel,
  state: HostState,
  learned: ReadonlyMap<string, LearnedTensor>,
): ReadonlyMap<string, Float32Array> {
  const rest = new Map<string, Float32Array>();
  for (const { name, held, shape } of model.parameters) {
    if (learned.has(name)) continue;
    const values = state.parameter(name);
    rest.set(name, held === 'transposed' ? turned(values, shape[1] as number, shape[0] as number) : values);
  }
  for (const { name } of model.buffers) rest.set(name, state.parameter(name));
  return rest;
}

/** The transpose of a [rows, columns] matrix. */
function turned(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row += 1)
    for (let column = 0; column < columns; column += 1) result[column * rows + row] = values[row * columns + column] as number;
  return result;
}
