import { SeededRandom } from '../../src/common/random';
import type { Statistic } from '../../src/engine/blocks/taps/tap';
import { findTapKind } from '../../src/engine/blocks/taps';
import type { BlockOffer, OfferedTensor, Quantizer } from '../../src/engine/compress/quantizers/quantizer';
import { hostProducts } from '../../src/engine/kernels/host/secondOrder/subtractProduct';
import { HostThreads } from '../../src/engine/kernels/host/threads/hostThreads';
import type { PlannedTensor } from '../../src/engine/outputs/planned/plannedTensor';

/** Normal random values. */
export function normals(count: number, seed: number, scale = 0.05): Float32Array {
  const random = new SeededRandom(seed);
  return Float32Array.from({ length: count }, () => random.nextNormal() * scale);
}

/** Inputs of a layer [tokens, columns] whose columns depend on their neighbours and differ in size. */
export function correlatedInputs(tokens: number, columns: number, seed: number): Float32Array {
  const x = normals(tokens * columns, seed, 1);
  for (let token = 0; token < tokens; token += 1)
    for (let column = 1; column < columns; column += 1)
      x[token * columns + column] = (0.6 * x[token * columns + column - 1]! + x[token * columns + column]!) * (1 + (column % 5) / 4);
  return x;
}

/** Statistics of inputs [tokens, columns] by id, as the taps gather them. */
export function statisticsOfInputs(inputs: Float32Array, columns: number, windows = 1): ReadonlyMap<string, Statistic> {
  const tokens = inputs.length / columns;
  const sums: Readonly<Record<string, Float64Array>> = {
    gram: new Float64Array(columns * columns),
    moments: new Float64Array(columns),
    'mean-absolute': new Float64Array(columns),
  };
  for (let token = 0; token < inputs.length; token += columns)
    for (let row = 0; row < columns; row += 1) {
      const value = inputs[token + row]!;
      sums['moments']![row]! += value * value;
      sums['mean-absolute']![row]! += Math.abs(value);
      for (let column = 0; column < columns; column += 1) sums['gram']![row * columns + column]! += value * inputs[token + column]!;
    }
  return new Map(
    Object.entries(sums).map(([id, sum]) => {
      const kind = findTapKind(id);
      return [id, { shape: kind.shape(columns), tokens, windows, values: kind.finish(sum, tokens) }];
    }),
  );
}

/** Plans one matrix [rows, columns] by whatever method, with the statistics of some inputs, or of none. */
export async function planWithInputs(
  quantizer: Quantizer,
  {
    rows,
    weights,
    parameters,
    ...more
  }: Pick<OfferedTensor, 'weights' | 'parameters'> & Partial<OfferedTensor> & { readonly rows: number },
  statistics: ReadonlyMap<string, Statistic> | undefined,
  note: BlockOffer['note'] = () => undefined,
): Promise<PlannedTensor> {
  const tensor = { name: 'w', role: 'linear', shape: [rows, weights.length / rows] } as const;
  const { planned } = await quantizer.planBlock({
    tensors: [{ tensor, weights, parameters, ...more }],
    statisticsOf: () => statistics,
    read: () => Promise.reject(new Error('nothing else is read')),
    signal: undefined,
    note,
    products: hostProducts,
    threads: new HostThreads(1),
  });
  return planned.get('w') as PlannedTensor;
}
